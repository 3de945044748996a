"""`tollway up`: every part on this machine, supervised; and `tollway migrate`, which it does on the way."""

import signal
import threading

import typer

from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_pairs, say
from deploy.settings import Settings, read

WATCH_EVERY_S = 0.25


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.command("up", help="Start every part on this machine and keep it running until Ctrl-C.")(up)
    app.command("migrate", help="Bring the store's schema up to date; `up` does it too.")(migrate)


def up(config: Config = DEFAULT_CONFIG) -> None:
    """Supervise all parts until SIGINT or SIGTERM; SIGHUP reloads the gateway."""
    from deploy.stack import Stack

    settings = read(config)
    stopping, reloading = stop_event(), threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: reloading.set())
    stack = Stack(settings, say)
    try:
        stack.start(on_ready=lambda name: say(f"tollway: {name} is ready"))
        emit_pairs(addresses(settings))
        say("tollway: serving; Ctrl-C stops it")
        while not stopping.wait(WATCH_EVERY_S):
            if reloading.is_set():
                reloading.clear()
                stack.reload()
            stack.watch_once()
    finally:
        say("tollway: stopping")
        stack.stop()


def migrate(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Apply what the store lacks of the numbered schema."""
    from deploy.schema import bring_up_to_date

    applied = bring_up_to_date(read(config))
    if as_json:
        emit_json({"applied": applied})
    else:
        say("tollway: " + (f"applied {', '.join(applied)}" if applied else "the schema is up to date"))


def addresses(settings: Settings) -> dict[str, object]:
    """Where to point clients and browsers."""
    routing = settings.routing()
    return {
        "OPENAI_BASE_URL": routing.client_base_url,
        "dashboards": f"{settings.dashboards_url}/",
        "store": settings.store_url,
        "otlp": f"{settings.otlp_url}/v1/traces",
        **({"otlp grpc": settings.file.collector.otlp_grpc} if settings.file.collector.otlp_grpc else {}),
        "data": settings.data_dir,
    }


def stop_event() -> threading.Event:
    """An event that SIGINT or SIGTERM sets."""
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
    return event
