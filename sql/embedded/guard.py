"""Which statements may run, judged on the engine's own syntax tree; a refusal names what it refuses.

Readers ask: SELECT, SHOW, DESCRIBE, EXISTS, EXPLAIN of these, over the store's tables. Writers also define and change
tables. Nobody reaches beyond the store: no file, URL, S3, executable, remote server, dictionary source, second
statement or session state. `readonly` alone is not enough (INTO OUTFILE passes it), so it is the second lock here.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping

from sql.credentials import READER
from sql.embedded import allowed, syntax
from sql.embedded.engine import Engine
from sql.embedded.errors import refused
from sql.embedded.syntax import Node
from sql.embedded.text import Insert
from sql.embedded.wire import Request

CACHE_MAX = 2048
"""Verdicts remembered; a dashboard's statements are few and come again and again."""
CACHE_TEXT_MAX = 32 * 1024
"""Bytes of a statement worth remembering."""
_FUNCTIONS = "SELECT name, is_aggregate, alias_to FROM system.functions WHERE origin = 'System'"
_ALL_FUNCTIONS = "SELECT name FROM system.functions"
_COMBINATORS = "SELECT name FROM system.aggregate_function_combinators"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]*")
_IN = re.compile(r"(global)?(not)?(null)?in(ignoreset)?", re.IGNORECASE)
_NAMING_PARENTS = ("Show", "Exists", "InsertQuery", "CreateQuery", "AlterQuery")


class Guard:
    """Judges statements; may be asked from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._functions, self._aggregates = functions(engine)
        self._combinators = tuple(engine.query(_COMBINATORS).data.decode().split())
        every = {name.lower() for name in engine.query(_ALL_FUNCTIONS).data.decode().splitlines()}
        self._refused = frozenset(every - self._functions - self._aggregates)
        self._passed: OrderedDict[tuple[object, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, user: str, kind: str, asked: Request) -> str:
        """The normal form to run instead of what was sent. Raises StoreError when it is refused or cannot be parsed."""
        if user == READER and kind != "read":
            raise refused("a statement that changes something: this user may only ask")
        check_settings(user, asked)
        return self._verdict(user, asked.text, asked)

    def check_insert(self, user: str, loaded: Insert, asked: Request) -> str:
        """The same for an INSERT whose rows came with it: its normal form without FORMAT."""
        if user == READER:
            raise refused("INSERT: this user may only ask")
        check_settings(user, asked)
        canonical = self._verdict(user, f"{loaded.head} FORMAT {loaded.format}".encode(), asked)
        return canonical.removesuffix(f" FORMAT {loaded.format}")

    def _verdict(self, user: str, text: bytes, asked: Request) -> str:
        """Remembered by all that the tree depends on: the text, and the parameters that stand for names."""
        names = tuple(sorted(asked.params.items())) if b"Identifier" in text else tuple(sorted(asked.params))
        key = (user, text, names)
        with self._lock:
            known = self._passed.get(key)
            if known is not None:
                self._passed.move_to_end(key)
                return known
        canonical = self._judge(user, text, asked.params)
        if len(text) <= CACHE_TEXT_MAX:
            with self._lock:
                self._passed[key] = canonical
                if len(self._passed) > CACHE_MAX:
                    self._passed.popitem(last=False)
        return canonical

    def _judge(self, user: str, text: bytes, params: Mapping[str, str]) -> str:
        reader = user == READER
        canonical = syntax.normal_form(self._engine, text)
        syntax.check_names(canonical, params)
        _check_words(canonical)
        top = syntax.tree(self._engine, canonical, params, readonly=reader)
        if top.kind not in allowed.READ_TOPS and (reader or top.kind not in allowed.WRITE_TOPS):
            raise refused(f"a statement of kind {top.kind}")
        for node, parent in top.walk():
            self._check_node(node, parent, reader=reader)
        return canonical

    def _check_node(self, node: Node, parent: Node, *, reader: bool) -> None:
        if node.kind == "Set" and parent.kind == "Explain":
            return  # EXPLAIN's own options, such as indexes = 1.
        if node.kind not in (allowed.READ_NODES if reader else allowed.WRITE_NODES):
            raise refused("a SETTINGS clause: send settings with the request" if node.kind == "Set" else node.kind)
        match node.kind:
            case "Function":
                self._check_function(node, parent, reader=reader)
            case "TableIdentifier":
                _check_table(node.name, reader=reader)
            case "Identifier" if parent.kind.startswith(_NAMING_PARENTS):
                if node.name == "default" or not _NAME.fullmatch(node.name):
                    raise refused(f"the name {node.name!r}")
            case "AlterCommand" if node.name.split()[0] not in allowed.ALTER_COMMANDS:
                raise refused(f"ALTER TABLE ... {node.name.split()[0].replace('_', ' ')}")
        if node.kind == "Identifier":
            self._check_identifier(node)

    def _check_identifier(self, node: Node) -> None:
        """A function handed to another by its name, as in arrayMap(file, ...), is an Identifier and no Function.

        Which of the two a name is shows only when it runs, so a column named like a refused function is refused too.
        """
        name = node.name.rpartition(".")[2].strip().lower()
        if name in self._refused or "{" in name:
            raise refused(f"function {node.name}, even as a name handed to another function")

    def _check_function(self, node: Node, parent: Node, *, reader: bool) -> None:
        name = node.name.lower()
        if parent.kind == "TableExpression":
            if name not in allowed.TABLE_FUNCTIONS:
                raise refused(f"table function {node.name}")
            return
        if parent.kind in ("CreateQuery", "InsertQuery", "Explain"):
            raise refused(f"table function {node.name}")
        if parent.kind == "Storage" and parent.children[0] is node:
            if node.name not in allowed.ENGINES:
                raise refused(f"engine {node.name}")
            return
        ddl = not reader and name in allowed.DDL_FUNCTIONS
        if not ddl and name not in self._functions and not self._is_aggregate(node.name):
            raise refused(f"function {node.name}")
        if _IN.fullmatch(node.name) and node.children:
            # The right side of IN may be a table's name.
            for argument in node.children[0].children[1:]:
                if argument.kind == "Identifier":
                    _check_table(argument.name, reader=reader)

    def _is_aggregate(self, name: str) -> bool:
        """Whether it is an aggregate, with combinators behind it or none, such as sumIf or quantilesTDigestMerge."""
        while name.lower() not in self._aggregates:
            shorter = next((name.removesuffix(c) for c in self._combinators if name.endswith(c)), "")
            if not shorter:
                return False
            name = shorter
        return True


def functions(engine: Engine) -> tuple[frozenset[str], frozenset[str]]:
    """The names permitted, in small letters: plain functions, and aggregates that take combinators."""
    plain, aggregates = set(allowed.SYNTAX_FUNCTIONS), set[str]()
    for line in engine.query(_FUNCTIONS).data.decode().splitlines():
        name, is_aggregate, alias_to = line.split("\t")
        if allowed.REFUSED_FUNCTIONS.fullmatch(name) or allowed.REFUSED_FUNCTIONS.fullmatch(alias_to):
            continue
        (aggregates if is_aggregate == "1" else plain).add(name.lower())
    return frozenset(plain), frozenset(aggregates)


def check_settings(user: str, asked: Request) -> None:
    """Raise StoreError for a setting that user may not send."""
    for name, value in asked.settings.items():
        if allowed.REFUSED_SETTINGS.fullmatch(name) or not _NAME.fullmatch(name):
            raise refused(f"setting {name}")
        if user == READER and not allowed.READER_SETTINGS.fullmatch(name):
            raise refused(f"setting {name}: this user may only ask")
        if name == "format_schema" and value and asked.settings.get("format_schema_source") != "string":
            raise refused("setting format_schema that names a file: send format_schema_source=string")


def _check_words(canonical: str) -> None:
    """What the tree does not show, or too late: files written to, disks defined, names that could forge a line."""
    words = syntax.words(canonical)
    upper = [word.upper() for word in words]
    in_settings = False
    for here, (word, following) in enumerate(zip(upper, [*upper[1:], ""], strict=True)):
        in_settings = in_settings or word == "SETTINGS"
        if word == "INFILE" or (word == "INTO" and following == "OUTFILE"):
            raise refused("INTO OUTFILE and FROM INFILE")
        if word in ("DISK", "STORAGE_POLICY") and following in ("=", "("):
            raise refused(f"{word.lower()}, which chooses where a table's files are")
        if word.strip('`"') == "DEFAULT" and following == ".":
            raise refused("database default, which shows the disk")
        if word == "ENGINE" and following == "=" and upper[0] in ("CREATE", "ALTER"):
            _check_engine(words[here + 2])
        if in_settings and following == "=" and allowed.REFUSED_SETTINGS.fullmatch(words[here]):
            raise refused(f"setting {words[here]}")
        if word[0] in '`"' and ("\\" in word or "/" in word):
            raise refused(f"the name {words[here]}")
    if upper[0] == "SHOW" and ("(" in words or "WHERE" in upper):
        raise refused("SHOW ... WHERE: select from the system table instead")
    if upper[:2] == ["CREATE", "TEMPORARY"]:
        raise refused("CREATE TEMPORARY TABLE: the store keeps no sessions")


def _check_engine(word: str) -> None:
    engine = word.strip("`")
    if engine not in allowed.ENGINES:
        raise refused(f"engine {engine}")


def _check_table(name: str, *, reader: bool) -> None:
    database, _, table = name.rpartition(".")
    if not _NAME.fullmatch(table) or (database and not _NAME.fullmatch(database)) or database == "default":
        raise refused(f"table {name!r}")
    if not reader or not database or database.lower() in allowed.READER_DATABASES:
        return
    if database != "system" or table not in allowed.READER_SYSTEM_TABLES:
        raise refused(f"table {name}: this user reads tollway and the plainer tables of system")
