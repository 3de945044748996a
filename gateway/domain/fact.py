"""Facts: dataclasses that are frozen for the type checker, and for nobody at run time.

A frozen dataclass sets each field through `object.__setattr__`: for the facts of one request (intent, attempt,
operation, usage) that takes four to five times as long as plain assignment. mypy refuses an assignment all the same.
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
