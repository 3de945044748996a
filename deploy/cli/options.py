"""Options that every subcommand has, written once."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="TOLLWAY_CONFIG", help="The configuration file.", show_default=True)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of a table.")]

DEFAULT_CONFIG = Path("tollway.yaml")
