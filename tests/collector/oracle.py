"""The question that matters: is what was acknowledged in the store, once?"""

from collections import Counter
from typing import Any


def landed(store: Any, sent: list[bytes]) -> Counter[bytes]:
    """How often each of those spans is in the store."""
    wanted = {one.hex() for one in sent}
    rows = store.writer.query("SELECT concat(trace_id, span_id) FROM tollway.spans").result_rows
    return Counter(bytes.fromhex(found) for (found,) in rows if found in wanted)


def column(store: Any, name: str, sent: list[bytes]) -> set[str]:
    """The values of a column of those spans."""
    rows = store.writer.query(
        f"SELECT {name} FROM tollway.spans WHERE trace_id IN {{ids:Array(String)}}",  # noqa: S608 - a column name of the tests
        parameters={"ids": [one[:16].hex() for one in sent]},
    )
    return {value for (value,) in rows.result_rows}
