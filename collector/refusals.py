"""Why a request is not taken, and what it is answered, over HTTP today and gRPC in the same terms.

    Refused
      BadRequest        400  INVALID_ARGUMENT     not OTLP; sending it again cannot help
      Unauthenticated   401  UNAUTHENTICATED      no token, or one we do not know
      NotFound          404  UNIMPLEMENTED        a path or a signal we do not take
      WrongMethod       405  UNIMPLEMENTED
      TooLarge          413  RESOURCE_EXHAUSTED   above a size limit; sending it again cannot help
      Unsupported       415  INVALID_ARGUMENT     a content type or encoding we do not read
      Busy              503  UNAVAILABLE          send it again after `retry_after_s`

There is no 500: OTLP senders give a request up for good at a 500, so a fault that may pass is Busy.
"""

from google.rpc.status_pb2 import Status


class Refused(Exception):
    """The request was not taken, whole; nothing of it was kept. The message is for the sender."""

    http_status = 400
    grpc_code = 3

    def body(self) -> bytes:
        """The google.rpc.Status that OTLP asks for, serialised."""
        status: bytes = Status(code=self.grpc_code, message=str(self)).SerializeToString()
        return status


class BadRequest(Refused):
    """The body is not what it says it is."""


class Unauthenticated(Refused):
    """No bearer token, or an unknown one."""

    http_status = 401
    grpc_code = 16


class NotFound(Refused):
    """Nothing is served there."""

    http_status = 404
    grpc_code = 12


class WrongMethod(Refused):
    """The path takes another method."""

    http_status = 405
    grpc_code = 12


class TooLarge(Refused):
    """Above a size limit, before or after inflating."""

    http_status = 413
    grpc_code = 8


class Unsupported(Refused):
    """A content type or encoding that is not read here."""

    http_status = 415


class Busy(Refused):
    """Full, or failing, for now."""

    http_status = 503
    grpc_code = 14

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
