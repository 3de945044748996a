"""Why a request is not taken, and what it is answered, over HTTP and gRPC in the same terms.

    Refused
      BadRequest        400  INVALID_ARGUMENT     not OTLP; sending it again cannot help
      Unauthenticated   401  UNAUTHENTICATED      no token, or one we do not know
      NotFound          404  UNIMPLEMENTED        a path or a signal we do not take
      WrongMethod       405  UNIMPLEMENTED
      TooLarge          413  RESOURCE_EXHAUSTED   above a size limit; sending it again cannot help
      Unsupported       415  INVALID_ARGUMENT     a content type or encoding we do not read
      Gone              499  CANCELLED            the sender hung up; nobody reads this one
      Busy              503  UNAVAILABLE          send it again after `retry_after_s`
        TooMany         429  UNAVAILABLE          the same, because of what this sender has under way itself

There is no 500: OTLP senders give a request up for good at a 500, so a fault that may pass is Busy.
"""

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status


class Refused(Exception):
    """The request was not taken, whole; nothing of it was kept. The message is for the sender."""

    http_status = 400
    grpc_code = 3
    reason = "refused"
    """For metrics."""

    def status(self) -> Status:
        """The google.rpc.Status that OTLP asks for."""
        return Status(code=self.grpc_code, message=str(self))


class BadRequest(Refused):
    """The body is not what it says it is."""

    reason = "malformed"


class Unauthenticated(Refused):
    """No bearer token, or an unknown one."""

    http_status = 401
    grpc_code = 16
    reason = "unauthenticated"


class NotFound(Refused):
    """Nothing is served there."""

    http_status = 404
    grpc_code = 12
    reason = "not_found"


class WrongMethod(Refused):
    """The path takes another method."""

    http_status = 405
    grpc_code = 12
    reason = "wrong_method"


class TooLarge(Refused):
    """Above a size limit, before or after inflating."""

    http_status = 413
    grpc_code = 8
    reason = "too_large"


class Unsupported(Refused):
    """A content type or encoding that is not read here."""

    http_status = 415
    reason = "unsupported"


class Gone(Refused):
    """The sender hung up before its request was answered."""

    http_status = 499
    grpc_code = 1
    reason = "gone"


class Busy(Refused):
    """Full, or failing, for now."""

    http_status = 503
    grpc_code = 14
    reason = "busy"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def retry_info(self) -> RetryInfo:
        """When to come again, as gRPC says it."""
        return RetryInfo(retry_delay=Duration(seconds=self.retry_after_s))

    def status(self) -> Status:
        """The status with its RetryInfo, without which gRPC senders need not come again."""
        detail = Any()
        detail.Pack(self.retry_info())
        return Status(code=self.grpc_code, message=str(self), details=[detail])


class TooMany(Busy):
    """This sender has too much under way; others are taken."""

    http_status = 429
    reason = "too_many"
