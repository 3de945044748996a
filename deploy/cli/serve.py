"""`tollway serve PART`: one part in this process, in the foreground. `tollway up` starts each of them this way."""

import logging
from enum import StrEnum
from typing import Annotated

import typer

from deploy.cli.options import DEFAULT_CONFIG, Config
from deploy.settings import read


class PartName(StrEnum):
    """The processes of Tollway."""

    STORE = "store"
    COLLECTOR = "collector"
    GATEWAY = "gateway"
    DASHBOARDS = "dashboards"
    WORKER = "worker"


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("serve", help="Run one part in the foreground: store, collector, gateway, dashboards or worker.")(serve)


def serve(part: Annotated[PartName, typer.Argument(help="Which part.")], config: Config = DEFAULT_CONFIG) -> None:
    """Run a part until SIGTERM or Ctrl-C."""
    from deploy import serving

    settings = read(config)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    runners = {
        PartName.STORE: serving.store,
        PartName.COLLECTOR: serving.collector,
        PartName.GATEWAY: serving.gateway,
        PartName.DASHBOARDS: serving.dashboards,
        PartName.WORKER: serving.worker,
    }
    runners[part](settings)
