"""The rules by which a report may share what hosts' idle time cost; by itself it is nobody's."""

from enum import StrEnum


class IdleRule(StrEnum):
    """How a report shares what idle time cost."""

    NONE = "none"
    """Not at all: a row of its own for each host."""
    PROPORTIONAL = "proportional"
    """By what each owner was given of the host's busy cost."""
    EVEN = "even"
    """The same for each owner that kept the host busy."""
