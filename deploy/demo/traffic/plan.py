"""What will be asked, by whom, and where it will be cut short: drawn from a seed before the first request is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from deploy.demo.traffic.prompts import prompt
from deploy.demo.traffic.trace import Arrival

PROMPT_WORDS_MAX = 8_000

TENANTS = {"acme": 40, "globex": 30, "initech": 20, "umbrella": 10}
"""The tenants and how often each asks."""

ALIASES = {"fast": 60, "agent-coder": 40}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
        },
    }
    for name, description in (("read_file", "Read a file"), ("run_tests", "Run the tests"))
]


class HangUp(StrEnum):
    """When a client goes away."""

    NEVER = "never"
    AT_ONCE = "at_once"
    """Before anything came back."""
    MID_STREAM = "mid_stream"
    """After some chunks of content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Shares of the requests, between 0 and 1."""

    streamed: float = 0.8
    include_usage: float = 0.5
    """Of the streams."""
    tools: float = 0.4
    """Of those that ask for agent-coder."""
    batch_tier: float = 0.15
    mid_stream: float = 0.12
    """Of the streams that are long enough."""
    at_once: float = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request."""

    number: int
    at_s: float
    tenant: str
    alias: str
    tier: str
    """Asked for by header; "" = the alias's own."""
    prompt_words: int
    max_tokens: int
    stream: bool
    include_usage: bool
    tools: bool
    hang_up: HangUp
    hang_up_chunks: int = 0
    """MID_STREAM: content chunks that come first."""
    hang_up_s: float = 0.0
    """AT_ONCE: seconds after the request was sent."""

    def body(self) -> dict[str, Any]:
        """The request as JSON has it."""
        system, user = prompt(self.tenant, self.alias, self.prompt_words, self.number)
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body: dict[str, Any] = {"model": self.alias, "messages": messages, "max_tokens": self.max_tokens}
        if self.stream:
            body["stream"] = True
        if self.include_usage:
            body["stream_options"] = {"include_usage": True}
        if self.tools:
            body["tools"] = TOOLS
        return body


MID_STREAM_CHUNKS_MIN = 4
MID_STREAM_WORDS_MIN = 16
"""A stream shorter than this may be whole before its client has decided to go."""


def plan(arrivals: Sequence[Arrival], *, seed: int, mix: Mix | None = None) -> list[Planned]:
    """A request for each arrival; the same seed gives the same requests."""
    mix, random = mix or Mix(), Random(seed)
    return [_planned(number, arrival, random, mix) for number, arrival in enumerate(arrivals)]


def _planned(number: int, arrival: Arrival, random: Random, mix: Mix) -> Planned:
    alias = random.choices(list(ALIASES), list(ALIASES.values()))[0]
    stream = random.random() < mix.streamed
    hang_up = HangUp.NEVER
    if random.random() < mix.at_once:
        hang_up = HangUp.AT_ONCE
    elif stream and arrival.generated_tokens >= MID_STREAM_WORDS_MIN and random.random() < mix.mid_stream:
        hang_up = HangUp.MID_STREAM
    return Planned(
        number=number,
        at_s=arrival.at_s,
        tenant=random.choices(list(TENANTS), list(TENANTS.values()))[0],
        alias=alias,
        tier="batch" if random.random() < mix.batch_tier else "",
        prompt_words=min(arrival.context_tokens, PROMPT_WORDS_MAX),
        max_tokens=arrival.generated_tokens,
        stream=stream,
        include_usage=stream and random.random() < mix.include_usage,
        tools=alias == "agent-coder" and random.random() < mix.tools,
        hang_up=hang_up,
        hang_up_chunks=random.randint(MID_STREAM_CHUNKS_MIN, MID_STREAM_WORDS_MIN // 2),
        hang_up_s=random.uniform(0.005, 0.06),
    )
