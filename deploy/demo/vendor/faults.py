"""What will go wrong with a request: drawn when it arrives, one draw each, from a generator of the vendor's own."""

from enum import StrEnum
from random import Random

from deploy.demo.vendor.settings import Faults


class Fault(StrEnum):
    """The ways in which a request fares."""

    NONE = "none"
    INTERNAL_ERROR = "internal_error"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    BREAK_BEFORE_FIRST_TOKEN = "break_before_first_token"  # noqa: S105 - a token of text
    BREAK_AFTER_SECOND_CHUNK = "break_after_second_chunk"
    SLOW_FIRST_TOKEN = "slow_first_token"  # noqa: S105


class FaultDice:
    """The same seed gives the same faults to the same sequence of requests."""

    def __init__(self, faults: Faults, seed: int | str) -> None:
        self._outages = faults.outages
        self._random = Random(seed)
        self._drawn = 0
        shares = [
            (Fault.INTERNAL_ERROR, faults.error / 2),
            (Fault.OVERLOADED, faults.error / 2),
            (Fault.RATE_LIMITED, faults.rate_limited),
            (Fault.BREAK_BEFORE_FIRST_TOKEN, faults.break_before_first_token),
            (Fault.BREAK_AFTER_SECOND_CHUNK, faults.break_after_second_chunk),
            (Fault.SLOW_FIRST_TOKEN, faults.slow_first_token),
        ]
        if sum(share for _, share in shares) > 1 or any(share < 0 for _, share in shares):
            raise ValueError("the shares of the faults must each be 0 or more, and together at most 1")
        self._shares = shares

    def draw(self) -> Fault:
        """The fate of the next request."""
        number, left = self._drawn, self._random.random()
        self._drawn += 1
        if any(first <= number < end for first, end in self._outages):
            return Fault.OVERLOADED
        for fault, share in self._shares:
            if left < share:
                return fault
            left -= share
        return Fault.NONE
