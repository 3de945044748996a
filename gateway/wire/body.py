"""A request's body: parsed once, checked only where we decide by it, sent on with only our changes in it.

Every other field, known to us or not, goes upstream as the client wrote it: the changed values are spliced into the
client's own bytes. Where a splice could be ambiguous the parsed body is serialised again instead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, UnionType

import orjson

from gateway.errors import InvalidRequest
from gateway.wire.kinds import Kind
from gateway.wire.splice import spliced

DEPTH_MAX = 254
"""What the serialiser writes; the parser reads deeper. A body is refused before its slot rather than failed in it."""


@dataclass(slots=True)
class ModelRequest:
    """What a request for an answer says that we decide by. `fields` is the parsed body and is never changed."""

    body: bytes
    fields: Mapping[str, object]
    alias: str
    stream: bool
    wants_usage: bool
    """The client asked for the usage chunk (`stream_options.include_usage`)."""
    wants_running_usage: bool
    """The client asked for usage in every chunk (vLLM's `continuous_usage_stats`)."""
    max_output_tokens: int
    """The client's bound on one choice of the answer; 0 = none given."""
    choices: int
    """How many choices the client asked for, of each prompt (`n`)."""
    best_of: int = 0
    """Of completions: how many are made of each prompt, whatever is shown; 0 = not said."""
    inputs: int = 1
    """How many prompts (completions) or inputs (embeddings) it carries."""
    kind: Kind = Kind.CHAT
    tool_format: str = ""
    """How the request offers tools: tools, functions, or "" for none."""

    @property
    def finishes(self) -> int:
        """How many choices the whole answer has."""
        return self.choices * self.inputs

    def for_upstream(
        self, model: str, *, running_usage: bool, changed: Mapping[str, object] = MappingProxyType({})
    ) -> bytes:
        """The body to send: this one with `model` replaced, usage asked for on a stream of choices, and the members in
        `changed` replaced or added."""
        changes: dict[str, object] = {"model": model, **changed}
        options = self._stream_options(running_usage) if self.stream else None
        if options is not None:
            changes["stream_options"] = options
        return spliced(self.body, self.fields, changes)

    def _stream_options(self, running_usage: bool) -> dict[str, object] | None:
        if self.kind is Kind.RESPONSES:
            return None  # A response's last event carries its usage unasked.
        given = self.fields.get("stream_options")
        options = dict(given) if isinstance(given, Mapping) else {}
        options["include_usage"] = True
        if running_usage:
            options["continuous_usage_stats"] = True
        return options


def read(body: bytes, kind: Kind = Kind.CHAT) -> ModelRequest:
    """The request of that kind in `body`. Raises InvalidRequest naming the field that is wrong."""
    fields = object_in(body)
    if len(body) > 2 * DEPTH_MAX and not _can_be_written(fields):
        raise InvalidRequest(f"The body is nested more than {DEPTH_MAX} deep. Flatten it.")
    alias = fields.get("model")
    if not isinstance(alias, str) or not alias:
        raise InvalidRequest("Name a model: `model` must be a non-empty string.", param="model")
    return READERS[kind](body, fields, alias)


def object_in(body: bytes) -> dict[str, object]:
    """The JSON object that a client sent. Raises InvalidRequest."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return fields


def _can_be_written(fields: Mapping[str, object]) -> bool:
    try:
        orjson.dumps(fields)
    except orjson.JSONEncodeError:
        return False
    return True


def _chat(body: bytes, fields: Mapping[str, object], alias: str) -> ModelRequest:
    if not isinstance(fields.get("messages"), list):
        raise InvalidRequest("`messages` must be an array of messages.", param="messages")
    options = _options(fields)
    return ModelRequest(
        body=body,
        fields=fields,
        alias=alias,
        stream=_flag(fields, "stream"),
        wants_usage=options.get("include_usage") is True,
        wants_running_usage=options.get("continuous_usage_stats") is True,
        max_output_tokens=max(_whole(fields, "max_tokens"), _whole(fields, "max_completion_tokens")),
        choices=_whole(fields, "n") or 1,
        tool_format=_tool_format(fields),
    )


def _completions(body: bytes, fields: Mapping[str, object], alias: str) -> ModelRequest:
    prompt = fields.get("prompt")
    if not isinstance(prompt, str | list):
        raise InvalidRequest("`prompt` must be a string or an array.", param="prompt")
    options = _options(fields)
    return ModelRequest(
        body=body,
        fields=fields,
        alias=alias,
        stream=_flag(fields, "stream"),
        wants_usage=options.get("include_usage") is True,
        wants_running_usage=options.get("continuous_usage_stats") is True,
        max_output_tokens=_whole(fields, "max_tokens"),
        choices=_whole(fields, "n") or 1,
        best_of=_whole(fields, "best_of"),
        inputs=_count(prompt),
        kind=Kind.COMPLETIONS,
    )


def _embeddings(body: bytes, fields: Mapping[str, object], alias: str) -> ModelRequest:
    given = fields.get("input")
    if not isinstance(given, str | list):
        raise InvalidRequest("`input` must be a string or an array.", param="input")
    return ModelRequest(
        body=body,
        fields=fields,
        alias=alias,
        stream=False,
        wants_usage=False,
        wants_running_usage=False,
        max_output_tokens=0,
        choices=1,
        inputs=_count(given),
        kind=Kind.EMBEDDINGS,
    )


CONTEXTS: Mapping[str, tuple[type | UnionType, str]] = {
    "input": (str | list, "a string or an array"),
    "prompt": (dict, "an object"),
    "previous_response_id": (str, "a string"),
    "conversation": (str | dict, "a string or an object"),
}
"""What a response can be made of: at least one of these, each of its type."""


def _responses(body: bytes, fields: Mapping[str, object], alias: str) -> ModelRequest:
    given = False
    for name, (expected, words) in CONTEXTS.items():
        value = fields.get(name)
        if value is None:
            continue
        if not isinstance(value, expected):
            raise InvalidRequest(f"`{name}` must be {words}.", param=name)
        given = True
    if not given:
        message = "Give `input`, or one of `prompt`, `previous_response_id` and `conversation`."
        raise InvalidRequest(message, param="input")
    _options(fields)
    return ModelRequest(
        body=body,
        fields=fields,
        alias=alias,
        stream=_flag(fields, "stream"),
        wants_usage=True,
        wants_running_usage=True,
        max_output_tokens=_whole(fields, "max_output_tokens"),
        choices=1,
        kind=Kind.RESPONSES,
        tool_format=_tool_format(fields),
    )


READERS: Mapping[Kind, Callable[[bytes, Mapping[str, object], str], ModelRequest]] = {
    Kind.CHAT: _chat,
    Kind.COMPLETIONS: _completions,
    Kind.EMBEDDINGS: _embeddings,
    Kind.RESPONSES: _responses,
}


def _options(fields: Mapping[str, object]) -> Mapping[str, object]:
    options = fields.get("stream_options")
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise InvalidRequest("`stream_options` must be an object.", param="stream_options")
    return options


def _tool_format(fields: Mapping[str, object]) -> str:
    """How tools are offered; what is no list is left for the vendor to refuse."""
    for name in ("tools", "functions"):
        if isinstance(offered := fields.get(name), list) and offered:
            return name
    return ""


def _count(given: str | list[object]) -> int:
    """How many prompts: an array of strings or of token arrays has one each, an array of tokens is one."""
    return len(given) if isinstance(given, list) and given and isinstance(given[0], str | list) else 1


def _flag(fields: Mapping[str, object], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"`{name}` must be true or false.", param=name)
    return value is True


def _whole(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name)
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # To JSON 5.0 is as whole as 5; the vendor gets what was sent.
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequest(f"`{name}` must be a whole number, zero or more.", param=name)
    return value
