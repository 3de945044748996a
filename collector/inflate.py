"""gzip, undone a step at a time, so that a bomb is caught at the limit and never held in memory beyond it."""

import zlib

from collector.inflight import Share
from collector.refusals import BadRequest, TooLarge

STEP = 1024 * 1024
GZIP = 16 + zlib.MAX_WBITS


def gunzip(data: bytes, *, bytes_max: int, share: Share) -> bytes:
    """The inflated bytes of one or more gzip members; each step is counted into `share` as it is made.

    Raises TooLarge above `bytes_max`, BadRequest for what is not gzip or ends early, Busy from `share`.
    """
    pieces: list[bytes] = []
    size = 0
    while data:
        stream = zlib.decompressobj(GZIP)
        while not stream.eof:
            try:
                piece = stream.decompress(data, min(STEP, bytes_max - size + 1))
            except zlib.error as error:
                raise BadRequest(f"the body is not gzip: {error}") from None
            size += len(piece)
            if size > bytes_max:
                raise TooLarge(f"the body inflates to more than {bytes_max} bytes")
            if not piece and not stream.eof and not stream.unconsumed_tail:
                raise BadRequest("the gzip body ends early")
            share.take(len(piece))
            pieces.append(piece)
            data = stream.unconsumed_tail
        data = stream.unused_data
    return b"".join(pieces)
