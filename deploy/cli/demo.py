"""`tollway demo`: the whole loop on a slice of real traffic, against two simulated vendors on this machine."""

import socket
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import exits
from deploy.cli.options import Json
from deploy.cli.output import emit_json, say
from deploy.cli.up import WATCH_EVERY_S, stop_event
from deploy.demo.options import DemoOptions, Ports
from deploy.errors import OperatorError
from deploy.supervisor.supervisor import port_problem
from gateway.domain import clock

MIDNIGHT_MARGIN_S = 120
"""A run this close to UTC midnight waits for it: a request billed on one day and metered on the next would show."""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("demo", help="Run the whole loop on a slice of real traffic, with faults, and close the month.")(demo)


def demo(
    requests: Annotated[int, typer.Option("--requests", min=1, max=100_000, help="How many requests to replay.")] = 600,
    data: Annotated[Path, typer.Option("--data", help="The demo's data folder; made if it is not there.")] = Path(
        "data/demo"
    ),
    finite: Annotated[bool, typer.Option("--exit", help="End after the summary; takes free ports.")] = False,
    as_json: Json = False,
    kill_gateway: Annotated[bool, typer.Option("--kill-gateway", help="SIGKILL the gateway in mid-traffic.")] = False,
    kill_collector: Annotated[bool, typer.Option("--kill-collector", help="SIGKILL the collector likewise.")] = False,
    surcharge: Annotated[
        bool, typer.Option("--surcharge", help="The vendors hide a surcharge in their invoices.")
    ] = False,
    any_port: Annotated[bool, typer.Option("--free-ports", help="Take free ports instead of the usual ones.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws other faults.")] = 0,
) -> None:
    """Start everything, replay, import both vendors' exports, reconcile, export, sum up; then serve until Ctrl-C."""
    stopping = stop_event()
    options = DemoOptions(
        data=data,
        requests=requests,
        kill_gateway=kill_gateway,
        kill_collector=kill_collector,
        surcharge=surcharge,
        seed=seed,
        ports=free_ports() if finite or any_port else Ports(),
    )
    while (wait_s := seconds_to_wait(clock.utc_now())) > 0:
        say(f"demo: waiting {wait_s:.0f} s for UTC midnight, so that one day holds the whole run")
        if stopping.wait(wait_s):
            return
    _run(options, stopping, finite=finite, as_json=as_json)


def _run(options: DemoOptions, stopping: threading.Event, *, finite: bool, as_json: bool) -> None:
    """The run itself; whatever was started has ended when this returns."""
    from deploy.demo import config
    from deploy.demo.run import run_demo
    from deploy.demo.screen import Bars
    from deploy.demo.vendors import Vendors
    from deploy.settings import read
    from deploy.stack import Stack

    require_ports(options.ports)
    files = config.write(options)
    stack = Stack(read(files.config), say)
    with Vendors(files.vendors, files.data / "logs") as vendors:
        try:
            with Bars() as screen:
                report = run_demo(options, files, vendors, stack, screen, stopping.is_set)
            if as_json:
                emit_json(report.plain())
            else:
                typer.echo("\n".join(report.words()))
            if finite:
                raise typer.Exit(exits.OK if report.as_expected else exits.CHECK_FAILED)
            say("demo: serving; Ctrl-C stops it")
            while not stopping.wait(WATCH_EVERY_S):
                stack.watch_once()
        finally:
            say("demo: stopping")
            stack.stop()


def require_ports(ports: Ports) -> None:
    """Before a file of a demo that may be running is touched. Raises OperatorError for a port that is taken."""
    singles = (ports.gateway, ports.otlp_http, ports.otlp_grpc, ports.store, ports.dashboards, ports.worker)
    for port in (*singles, *ports.vendors):
        if (problem := port_problem(f"127.0.0.1:{port}")) is not None:
            raise OperatorError(f"{problem} (--free-ports takes free ones)")


def seconds_to_wait(now: datetime) -> float:
    """How long until UTC midnight where that is near, else 0."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    left = (midnight - now).total_seconds()
    return left if left <= MIDNIGHT_MARGIN_S else 0.0


def free_ports() -> Ports:
    """Eight loopback ports that nobody listens at now."""
    probes = [socket.socket() for _ in range(8)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        numbers = [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
    gateway, otlp_http, otlp_grpc, store, dashboards, worker, one, two = numbers
    return Ports(
        gateway=gateway,
        otlp_http=otlp_http,
        otlp_grpc=otlp_grpc,
        store=store,
        dashboards=dashboards,
        worker=worker,
        vendors=(one, two),
    )
