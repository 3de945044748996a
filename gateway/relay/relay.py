"""What every stream's relay has in common: bytes in, whole events out byte for byte, and what was learned on the way.

Only whole events go on, so that a broken stream never leaves half an event behind. Nothing goes on before the first
real token, so that a stream that fails early can still be replaced by another. What an event means is each dialect's
own: gateway/relay/stream.py (chat and completions) and gateway/relay/responses.py. Nothing here does I/O.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

import orjson

from gateway.errors import GatewayError
from gateway.relay.sse import Splitter, data_of, events
from gateway.relay.usage import raw_usage

DONE = b"[DONE]"


class Relay:
    """Feed it the answer's pieces; it returns what may go to the client now, and keeps what the stream said."""

    __slots__ = (
        "_held",
        "_splitter",
        "_usage_payload",
        "done",
        "error",
        "error_event",
        "finish_reason",
        "model",
        "open",
        "response_id",
        "service_tier",
        "token_seen",
        "usage",
    )

    marks: ClassVar[re.Pattern[bytes]]
    """Once a token was seen, an event with none of these in it, nor [DONE], changes nothing that is kept.

    A quote inside a JSON string is escaped, so none of them can stand in an answer's text but [DONE], which only costs
    a look. They begin with a quote, which is what makes looking for them quick."""
    hold_bytes_max = 262_144
    """A stream that brought this much and no token goes on as it is."""

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._held: list[bytes] = []
        self.open = False
        """Bytes may go to the client: a real token was seen, or too much was held back."""
        self.token_seen = False
        self.done = False
        """The stream said that it is over; what follows does not go on."""
        self.error: bytes | None = None
        """An error the upstream sent in band, in OpenAI's envelope; neither it nor what follows it goes on."""
        self.error_event = b""
        """The whole event of that error, for who decides that the client may read it."""
        self.finish_reason = ""
        self.response_id = ""
        self.model = ""
        self.service_tier = ""
        self.usage: Mapping[str, object] | None = None
        """The last usage seen."""
        self._usage_payload = b""

    @property
    def complete(self) -> bool:
        """Whether the stream said all it had to say."""
        return self.done

    @property
    def usage_is_final(self) -> bool:
        """The usage came after the answer, or with its end: it is the vendor's total."""
        raise AssertionError("each dialect says where its total stands")

    @property
    def running(self) -> bool:
        """The client was given something of which no end has come, and of which the vendor may tell later."""
        return False

    @property
    def usage_raw(self) -> str:
        """The JSON of the last usage seen, as the vendor wrote it; "" if there was none."""
        return raw_usage(self._usage_payload, self.usage) if self.usage is not None else ""

    def feed(self, piece: bytes) -> bytes:
        """What may go on to the client now. Raises EventTooLong."""
        whole = self._splitter.feed(piece)
        return self._pass(whole) if whole and not self.done and self.error is None else b""

    def finish(self) -> bytes:
        """The same for what the stream's clean end completes."""
        rest = self._splitter.rest()
        return self._pass(rest) if rest.strip() else b""

    def broken(self, error: GatewayError) -> bytes:
        """The event that ends the stream in band, in the dialect of what went before."""
        return b"data: " + error.envelope() + b"\n\n"

    def _pass(self, whole: bytes) -> bytes:
        kept: list[bytes] = []
        at = 0
        while at < len(whole):
            dull_to = self._dull_to(whole, at)
            if dull_to > at:
                kept.append(whole[at:dull_to])
            at = dull_to
            if at == len(whole):
                break
            for event in events(whole, at):
                if shown := self._look(event):
                    kept.append(shown)
                at += len(event)
                if not self._looks_at_all:
                    break
        if not self.open:
            self._held += kept
            self.open = self.token_seen or sum(map(len, self._held)) > self.hold_bytes_max
            if not self.open:
                return b""
            kept, self._held = self._held, []
        return b"".join(kept)

    @property
    def _looks_at_all(self) -> bool:
        """Whether every event has to be looked at, marked or not."""
        return not self.token_seen or self.done or self.error is not None

    def _dull_to(self, data: bytes, start: int) -> int:
        """From the event at `start` on, how far there is nothing to learn but that the answer goes on."""
        if self._looks_at_all:
            return start
        found = self.marks.search(data, start)
        end = found.start() if found is not None else len(data)
        done = data.find(DONE, start, end)
        if found is None and done < 0:
            return end
        # Where lines end with \r no such blank line is found: then events are looked at one by one.
        blank_line = data.rfind(b"\n\n", start, end if done < 0 else done)
        return blank_line + 2 if blank_line >= 0 else start

    def _look(self, event: bytes) -> bytes:
        """Keep what one event says; returns the client's copy of it, b"" for none."""
        if self.done or self.error is not None:
            return b""
        payload = data_of(event)
        if payload is None:
            return event
        if payload.strip() == DONE:
            return self._over(event)
        try:
            fields = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return event
        return self._read(event, payload, fields) if isinstance(fields, dict) else event

    def _over(self, event: bytes) -> bytes:
        """The same for [DONE]."""
        raise AssertionError(f"each dialect knows its own: {event!r}")

    def _read(self, event: bytes, payload: bytes, fields: Mapping[str, object]) -> bytes:
        """The same for an event whose data is a JSON object."""
        raise AssertionError(f"each dialect knows its own: {event!r}, {payload!r}, {fields!r}")


def text(value: object) -> str:
    """`value` if it is text, else ""."""
    return value if isinstance(value, str) else ""
