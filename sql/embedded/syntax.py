"""The engine's own reading of a statement: its normal form on one line, and its syntax tree.

The text that runs is the normal form, so what was judged is what runs: comments are gone, quoting is uniform, casts and
CASE are functions, and a second statement is a syntax error. Nothing here decides what is allowed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sql.embedded.engine import Engine
from sql.embedded.errors import StoreError
from sql.tokens import tokens

_LINE = re.compile(r"(?P<indent> *)(?P<kind>\S+)(?: (?P<name>.*?))?(?: \(alias .*\))?(?: \(children (?P<n>\d+)\))?")
_SCOPE = re.compile(r":? ?In scope SELECT formatQuerySingleLine\(.*", re.DOTALL)
_IDENTIFIER_PARAM = re.compile(r"\{(\w+) ?: ?Identifier\}")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Node:
    """One node of the tree: what it is (`Function`), its name (`sum`), what hangs below it."""

    kind: str
    name: str = ""
    children: list["Node"] = field(default_factory=list)

    def walk(self, parent: "Node | None" = None) -> Iterator[tuple["Node", "Node"]]:
        """Every node with the one above it; above the first is a node of kind Top."""
        yield self, parent or Node("Top")
        for child in self.children:
            yield from child.walk(self)


def normal_form(engine: Engine, text: bytes) -> str:
    """The statement on one line, as the engine would print it. Raises StoreError for what it cannot parse."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        raise StoreError(62, "SYNTAX_ERROR", "the statement is not UTF-8") from None
    try:
        answer = engine.query(
            "SELECT formatQuerySingleLine({q:String})", output="TSVRaw", params={"q": _as_parameter(decoded)}
        )
    except StoreError as fault:
        raise StoreError(fault.code, fault.name, _SCOPE.sub("", fault.message)) from None
    return answer.data.decode("utf-8").removesuffix("\n")


def words(canonical: str) -> list[str]:
    """The tokens of a normal form, keywords and names as written, strings and quoted names with their quotes."""
    return [token.decode("utf-8", "replace") for _, token, _ in tokens(canonical.encode())]


def check_names(canonical: str, params: Mapping[str, str]) -> None:
    """Raise StoreError unless each parameter that stands for a name, and so is part of the syntax, is a plain name."""
    for name in set(_IDENTIFIER_PARAM.findall(canonical)) & params.keys():
        if not _PLAIN.fullmatch(params[name]):
            raise StoreError(
                457, "BAD_QUERY_PARAMETER", f"parameter {name}: an Identifier is letters, digits and _ here"
            )


def tree(engine: Engine, canonical: str, params: Mapping[str, str], *, readonly: bool) -> Node:
    """The syntax tree. In readonly mode the engine itself refuses a SETTINGS clause. Raises StoreError."""
    settings = {"readonly": "1"} if readonly else {}
    answer = engine.query("EXPLAIN AST " + canonical, output="TSVRaw", params=params, settings=settings)
    top = Node("Top")
    path = [top]
    for line in answer.data.decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise StoreError(497, "ACCESS_DENIED", "the statement's syntax tree cannot be read")
        depth = len(match["indent"]) + 1
        if depth > len(path):
            raise StoreError(497, "ACCESS_DENIED", "the statement's syntax tree cannot be read")
        node = Node(match["kind"], (match["name"] or "").strip())
        del path[depth:]
        path[-1].children.append(node)
        path.append(node)
    if len(top.children) != 1:
        raise StoreError(497, "ACCESS_DENIED", "the statement's syntax tree cannot be read")
    return top.children[0]


def _as_parameter(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
