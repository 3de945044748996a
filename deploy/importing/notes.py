"""What a translation could not take over, with its place in the file that was read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that is different in the result, or missing from it, at a place such as `router_settings.timeout`."""

    place: str
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words}"
