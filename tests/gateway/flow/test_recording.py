"""What is held on to of an answer that may be kept."""

from gateway.cache.store import Key
from gateway.flow.caching import Recording

KEY = Key("acme", "fast", "interactive", "1", "chat", b"")


def test_a_stream_is_noted_down_as_it_came() -> None:
    recording = Recording(KEY, 10)
    for piece in (b"abc", b"de", b"fghij"):
        recording.add(piece)
    assert recording.whole() == b"abcdefghij"


def test_of_a_stream_that_is_too_long_nothing_is_held_on_to() -> None:
    recording = Recording(KEY, 10)
    for piece in (b"abc", b"de", b"fghijk", b"l"):
        recording.add(piece)
    assert recording.whole() == b""
    assert recording._pieces == []
