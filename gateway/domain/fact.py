"""Facts: dataclasses that are frozen for the type checker, and for nobody at run time.

A frozen dataclass sets each field through `object.__setattr__`, which for the 37 fields of an intent costs 4.9 us and
for the three facts of one request 11; as plain slots they cost 1.4 and 3. mypy refuses an assignment all the same.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as fact
else:
    from dataclasses import dataclass

    def fact(*, frozen: bool, **options: bool):
        """Like `dataclass`, and as hashable, without the toll of `frozen`."""
        return dataclass(**options, unsafe_hash=frozen)


__all__ = ["fact"]
