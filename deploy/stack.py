"""All the parts of one configuration as one thing: start, make ready, watch, stop."""

import signal
from collections.abc import Callable

from deploy.secrets import gateway_token
from deploy.settings import Settings, read
from deploy.supervisor import Supervisor, parts
from gateway.config import ConfigError

WORKER = "worker"
"""Started last: nobody waits for its work, and who serves clients should have the cores first."""


class Stack:
    """The processes of one data folder, the schema brought up to date on the way up."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self._say = say
        self._cards = settings.file.rate_cards
        self._supervisor = Supervisor(settings.data_dir / "logs", say)

    def start(self, on_ready: Callable[[str], None] = lambda _: None) -> None:
        """Start every part; returns when all of them answer. Raises OperatorError naming the part that did not."""
        from deploy.schema import bring_up_to_date
        from deploy.store_access import make_passwords

        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        make_passwords(self.settings)
        gateway_token(self.settings)
        wanted = parts(self.settings)
        self._supervisor.require_ports(wanted)
        names = [part.name for part in wanted if part.name != WORKER]
        try:
            self._supervisor.start([part for part in wanted if part.name != WORKER])
            if "store" in names:
                self._supervisor.wait_ready(["store"], on_ready)
            bring_up_to_date(self.settings)
            self._supervisor.wait_ready([name for name in names if name != "store"], on_ready)
            self._supervisor.start([part for part in wanted if part.name == WORKER])
            self._supervisor.wait_ready([WORKER], on_ready)
        except BaseException:
            self.stop()
            raise

    def watch_once(self) -> None:
        """Start again what died."""
        self._supervisor.watch_once()

    def reload(self) -> None:
        """Tell the gateway to read its configuration again, and start the worker afresh with the cards that it has now.

        A file with a fault changes nothing: the faults are said, and every part goes on with what it had. The gateway
        hears of it all the same, so that its log, its metrics and its /admin/state tell of the reload that failed.
        """
        try:
            again = read(self.settings.path)
        except ConfigError as error:
            self._supervisor.send("gateway", signal.SIGHUP)
            self._say(f"tollway: not reloaded: {error}")
            return
        self._supervisor.allow_to_stop(parts(again))
        self._supervisor.send("gateway", signal.SIGHUP)
        if again.file.rate_cards != self._cards:
            self._cards = again.file.rate_cards
            self._supervisor.send(WORKER, signal.SIGTERM)  # The watch starts it again, with the new cards.
        self._say("tollway: told the gateway to reload; its log has what changed")

    def kill_and_restart(self, name: str) -> None:
        """SIGKILL a part and start it again; for drills."""
        self._supervisor.kill_and_restart(name)

    def wait_ready(self, name: str) -> None:
        """Block until that part answers again. Raises OperatorError."""
        self._supervisor.wait_ready([name])

    def stop(self) -> None:
        """Stop every part in order."""
        self._supervisor.stop()
