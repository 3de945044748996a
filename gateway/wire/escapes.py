"""Letters of a JSON text that are written as escapes: a key may hide in them."""

import re

_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")


def has_escaped_letters(text: bytes) -> bool:
    """Whether a letter or an underscore may be written as an escape; without one no key only reads as another.

    The quickest look comes first: many texts have no backslash at all.
    """
    return b"\\" in text and b"\\u00" in text and _ESCAPED_LETTER.search(text) is not None
