"""Which statements may run. Work in progress in this file's next commit; see Guard."""

from sql.embedded.engine import Engine
from sql.embedded.text import Insert
from sql.embedded.wire import Request


class Guard:
    """Judges statements."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def check(self, user: str, kind: str, asked: Request) -> str:
        """The text to run. Raises StoreError when it is refused."""
        return asked.text.decode("utf-8")

    def check_insert(self, user: str, loaded: Insert, asked: Request) -> None:
        """Raises StoreError when it is refused."""
