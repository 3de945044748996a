"""A chat request as the vendor understands it; what it does not use, it ignores, as the real ones do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.demo.vendor.settings import Settings
from deploy.demo.vendor.words import prompt_words

CHOICES_MAX = 8
ANSWER_WORDS_MAX = 32_768


class AskRefused(ValueError):
    """The request is the client's mistake: an HTTP status, the field at fault and OpenAI's code for it."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked for. `words` is the length of each of the `choices` answers; `tools` are names to be called."""

    model: str
    prompt: Sequence[str]
    words: int
    choices: int
    stream: bool
    include_usage: bool
    running_usage: bool
    """vLLM's `continuous_usage_stats`: each chunk of content says what has been used so far."""
    tools: tuple[str, ...]


def read(body: bytes, settings: Settings) -> Ask:
    """The request in `body`. Raises AskRefused."""
    try:
        request = orjson.loads(body)
        prompt = prompt_words(request)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AskRefused(400, f"We could not parse the JSON body of your request: {error!r}") from error
    model = request.get("model")
    if model not in settings.models:
        raise AskRefused(404, f"The model `{model}` does not exist", param="model", code="model_not_found")
    options = request.get("stream_options") or {}
    words = _count(request, ("max_completion_tokens", "max_tokens"), settings.default_words, ANSWER_WORDS_MAX)
    return Ask(
        model=model,
        prompt=prompt,
        words=words,
        choices=_count(request, ("n",), 1, CHOICES_MAX),
        stream=request.get("stream") is True,
        include_usage=options.get("include_usage") is True,
        running_usage=options.get("continuous_usage_stats") is True and options.get("include_usage") is True,
        tools=_tools(request, words),
    )


def _count(request: Mapping[str, Any], names: tuple[str, ...], default: int, most: int) -> int:
    for name in names:
        value = request.get(name)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise AskRefused(400, f"Invalid value for '{name}': expected 1 to {most}", param=name)
            return value
    return default


def _tools(request: Mapping[str, Any], words: int) -> tuple[str, ...]:
    """The functions the answer will call: two at once where allowed and where there are words enough, else one."""
    if not request.get("tools") or request.get("tool_choice") == "none":
        return ()
    names = [str(tool["function"]["name"]) for tool in request["tools"] if "function" in tool]
    parallel = request.get("parallel_tool_calls") is not False and words >= 2 * len(names[:2])
    return tuple(names[: 2 if parallel else 1])
