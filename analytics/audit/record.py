"""Keeps what audits found: a row for each closed hour and equality, and another one whenever its answer changes.

Nothing is ever changed or deleted here, so `tollway.audits` tells what was known of an hour and since when.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

import sql
from analytics.audit.checks import Check
from analytics.windows import Window

WORDS_MAX = 5
"""Differences told in a row; how many there are it says too."""
REACH = timedelta(days=31)
"""As far back hours are audited that nobody audited, after a long pause."""

Key = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an audit says of one equality in one hour."""

    compared: int
    faults: int
    words: tuple[str, ...] = ()


def answers(checks: Iterable[Check], window: Window) -> dict[Key, Answer]:
    """By hour and equality, of each hour of the window; a fault of no hour of it counts to the last. Pure."""
    hours = [window.since + timedelta(hours=n) for n in range((window.until - window.since) // timedelta(hours=1))]
    found: dict[Key, Answer] = {}
    for check in checks:
        if check.compared is None:
            continue
        words: dict[datetime, list[str]] = {hour: [] for hour in hours}
        for fault in check.faults:
            place = fault.hour if fault.hour in words else hours[-1]
            words[place].append(f"{fault.where}: {fault.wanted} wanted, {fault.found} found; {fault.words}")
        for hour in hours:
            told = words[hour]
            found[hour, check.equality] = Answer(check.by_hour.get(hour, 0), len(told), tuple(told[:WORDS_MAX]))
    return found


def changed(found: Mapping[Key, Answer], kept: Mapping[Key, Answer]) -> dict[Key, Answer]:
    """Those that say something else than what is kept, or of which nothing is. Pure."""
    return {key: answer for key, answer in found.items() if kept.get(key) != answer}


def widened(client: Client, window: Window) -> Window:
    """The window with the hours before it that no audit has told of, as far as REACH. Raises the driver's error."""
    last: datetime | None = sql.fetch(client, "audit_last_hour")["hour"].item()
    if last is None or last + timedelta(hours=1) >= window.since:
        return window
    return Window(max(last + timedelta(hours=1), window.until - REACH), window.until)


def record(client: Client, checks: Iterable[Check], window: Window, *, now: datetime) -> int:
    """Keep what is new of a window of whole hours; how many rows that were. Raises the driver's error."""
    frame = sql.fetch(client, "audit_kept", since=window.since, until=window.until)
    kept = {
        (hour, equality): Answer(compared, faults, tuple(words))
        for hour, equality, compared, faults, words in frame.iter_rows()
    }
    rows = [
        [hour, equality, answer.compared, answer.faults, list(answer.words), now]
        for (hour, equality), answer in changed(answers(checks, window), kept).items()
    ]
    if rows:
        columns = ["hour", "equality", "compared", "faults", "words", "audited_at"]
        client.insert("audits", rows, column_names=columns, database="tollway")
    return len(rows)
