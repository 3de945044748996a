"""The vendor's tokenizer: a token is a word between white space. And the words that its answers are made of."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

VOCABULARY = (
    "the", "meter", "reads", "what", "passed", "and", "each", "call", "leaves", "one", "line", "in", "a", "book",
    "that", "two", "people", "keep", "apart", "so", "when", "their", "sums", "agree", "nobody", "has", "to", "argue",
    "about", "toll", "again",
)  # fmt: skip


def prompt_words(request: Mapping[str, Any]) -> list[str]:
    """Every word of the prompt: the messages' texts in their order, before them the tools that were offered."""
    words: list[str] = []
    for tool in request.get("tools") or ():
        words += json.dumps(tool).split()
    for message in request["messages"]:
        content = message.get("content")
        if isinstance(content, str):
            words += content.split()
        elif isinstance(content, Sequence):
            for part in content:
                words += str(part.get("text") or part.get("type")).split()
        for call in message.get("tool_calls") or ():
            words += json.dumps(call).split()
    return words


def answer_word(start: int, index: int) -> str:
    """The word at `index` of the answer that begins at `start` in the vocabulary."""
    return VOCABULARY[(start + index) % len(VOCABULARY)]
