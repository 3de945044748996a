"""`python -m deploy.cli` is the `tollway` command."""

from deploy.cli.main import run

run()
