"""The store: its schema, its queries, the clients that reach it, and the embedded ClickHouse for one machine.

Everything reaches ClickHouse over HTTP. Statements live in files: sql/schema (numbered, forward only), sql/views and
sql/queries (one each); no SQL is written elsewhere. The names below are loaded when they are first used, so that the
store process, which needs none of them, does not wait for polars and pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sql.migrations import migrate
    from sql.statements import Statement, afetch, columns, execute, fetch, load

__all__ = ["Statement", "afetch", "columns", "execute", "fetch", "load", "migrate"]

_HOMES = {name: "sql.migrations" if name == "migrate" else "sql.statements" for name in __all__}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'sql' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
