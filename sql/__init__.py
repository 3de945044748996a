"""The store: its schema, its queries, the clients that reach it, and the embedded ClickHouse for one machine.

Everything reaches ClickHouse over HTTP. Statements live in files: sql/schema (numbered, forward only) and sql/queries
(one each); no SQL is written elsewhere.
"""

from sql.migrate import migrate
from sql.statements import Statement, afetch, columns, execute, fetch, load

__all__ = ["Statement", "afetch", "columns", "execute", "fetch", "load", "migrate"]
