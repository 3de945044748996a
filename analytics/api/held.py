"""The last few tables that a first page was made of, so that the pages behind it are of one answer and cost nothing."""

import threading
from datetime import datetime, timedelta

from analytics.periods.close import Close

HELD = timedelta(minutes=1)
HELD_MAX = 4
Row = dict[str, str | None]


class Held:
    """The last few tables that a first page was made of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], tuple[datetime, list[Row]]] = {}

    def rows(self, close: Close, month: str, file: str, *, now: datetime, fresh: bool) -> list[Row]:
        """The file's rows; as they were for a page before, unless `fresh`."""
        with self._lock:
            at, rows = self._found.get((month, file), (now - HELD, []))
        if not fresh and now - at < HELD:
            return rows
        rows = [{name: value or None for name, value in row.items()} for row in close.table(month, file, now=now)]
        with self._lock:
            self._found[month, file] = (now, rows)
            for oldest in sorted(self._found, key=lambda key: self._found[key][0])[:-HELD_MAX]:
                del self._found[oldest]
        return rows


HOLDING = Held()
