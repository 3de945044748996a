"""Every error the gateway answers by itself, each with its HTTP status, its stable code and the OpenAI envelope.

    GatewayError
    |-- the caller's fault
    |     InvalidRequest 400   StreamingRequired 400   ContextTooLong 400   NotServed 400   Unauthenticated 401
    |     BudgetExhausted 402   NotAllowed 403   UnknownModel 404   UnknownRoute 404   MethodNotAllowed 405
    |     BodyTooLarge 413   HeadersTooLarge 431   UnknownRequest 404
    |     UnknownObject 404   StoredElsewhere 400   FuseTripped 403   ConfigRejected 409 (the operator's)
    |-- the tier has no room
    |     QueueFull 429   QueueTimeout 503   QuotaExhausted 429
    |-- the upstreams failed
    |     LadderExhausted 502   BreakerOpen 503   UpstreamBusy 503   AnswerTimeout 504   StreamBroken (in band)
    |     UpstreamFailed 502
    `-- we cannot serve
          Internal 500   JournalUnavailable 503   ShuttingDown 503   OwnersUnavailable 503   BudgetUnavailable 503
                FeedbackUnavailable 503

A message names what the caller can change, never a ladder, a key, an upstream or another tenant. A vendor's own error
is not in this tree: it is relayed as it came.
"""

import orjson


class GatewayError(Exception):
    """An answer of our own: `status` for HTTP, and an envelope of message, type, param and code."""

    status = 500
    code = "internal_error"
    type = "server_error"
    final = False
    """Asking again will not help: clients are told so (`x-should-retry: false`)."""

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def envelope(self) -> bytes:
        """`{"error": {"message", "type", "param", "code"}}` as JSON."""
        body = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return orjson.dumps({"error": body})


class CallerError(GatewayError):
    """The request cannot be served as it stands."""

    status = 400
    code = "invalid_request"
    type = "invalid_request_error"


class InvalidRequest(CallerError):
    """The body is not a request of its route's kind; `param` names the field."""


class StreamingRequired(CallerError):
    """The tier takes only requests that stream."""

    code = "streaming_required"


class ContextTooLong(CallerError):
    """The prompt fits no model behind the alias; the message has the sizes."""

    code = "context_too_long"


class NotServed(CallerError):
    """The model exists, and is served on other routes than this one."""

    code = "not_served"


class BudgetExhausted(CallerError):
    """What the request could cost is more than its tenant's budget has left; the message says when it renews."""

    status = 402
    code = "budget_exhausted"
    type = "insufficient_quota"


class Unauthenticated(CallerError):
    """No key, or one that nobody has."""

    status = 401
    code = "invalid_api_key"


class NotAllowed(CallerError):
    """The key is good, but not for this tier."""

    status = 403
    code = "tier_not_allowed"
    type = "permission_error"


class FuseTripped(CallerError):
    """The session went beyond a bound of its tier's fuse; `param` names the bound.

    403, since clients repeat a 408, 409, 429 or 5xx by themselves, and a loop must not be fed.
    """

    status = 403
    code = "fuse_tripped"
    type = "permission_error"
    final = True


class UnknownModel(CallerError):
    """No alias of that name among the tenant's own."""

    status = 404
    code = "model_not_found"


class UnknownObject(CallerError):
    """No file, batch or stored response of that id among the tenant's own; whether it is another's is not told."""

    status = 404
    code = "object_not_found"


class UnknownRequest(CallerError):
    """No request or answer of that id among the tenant's own; whether it is another's is not told."""

    status = 404
    code = "request_not_found"


class StoredElsewhere(CallerError):
    """The request names stored objects that no upstream of its model can reach, or no one upstream together."""

    code = "stored_elsewhere"


class UnknownRoute(CallerError):
    """No such path."""

    status = 404
    code = "unknown_route"


class MethodNotAllowed(CallerError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class BodyTooLarge(CallerError):
    """The body exceeds what the operator allows."""

    status = 413
    code = "body_too_large"


class HeadersTooLarge(CallerError):
    """The head of the request exceeds what a head may be."""

    status = 431
    code = "headers_too_large"


class ConfigRejected(CallerError):
    """The configuration that the operator asked to be read again has faults."""

    status = 409
    code = "config_rejected"


class QueueFull(GatewayError):
    """The tier's queue has no place left."""

    status = 429
    code = "tier_queue_full"
    type = "rate_limit_error"


class QueueTimeout(GatewayError):
    """The request waited as long as the tier allows and found no slot."""

    status = 503
    code = "tier_queue_timeout"


class QuotaExhausted(GatewayError):
    """The tenant's own requests or tokens per minute are spent."""

    status = 429
    code = "quota_exhausted"
    type = "rate_limit_error"


class LadderExhausted(GatewayError):
    """No upstream gave an answer."""

    status = 502
    code = "ladder_exhausted"


class UpstreamFailed(GatewayError):
    """What keeps the stored object could not be reached, or its answer could not be read."""

    status = 502
    code = "upstream_failed"


class BreakerOpen(GatewayError):
    """Every upstream of the alias is having a rest, so none was called."""

    status = 503
    code = "breaker_open"


class UpstreamBusy(GatewayError):
    """Every upstream of the alias carries as many calls as it may, so none was called."""

    status = 503
    code = "upstream_busy"


class AnswerTimeout(GatewayError):
    """The whole answer took longer than the tier allows."""

    status = 504
    code = "timeout"


class StreamBroken(GatewayError):
    """The stream ended early after a token had reached the client; sent in band."""

    status = 502
    code = "stream_broken"


class Internal(GatewayError):
    """A fault of ours."""


class JournalUnavailable(GatewayError):
    """The journal cannot take an intent, so nothing may be sent that could not be billed for."""

    status = 503
    code = "journal_unavailable"


class BudgetUnavailable(GatewayError):
    """The tenant has a budget, and what is left of it cannot be found out."""

    status = 503
    code = "budget_unavailable"


class FeedbackUnavailable(GatewayError):
    """Whose request it is that feedback was given of is not known at present."""

    status = 503
    code = "feedback_unavailable"


class ShuttingDown(GatewayError):
    """The gateway was told to stop."""

    status = 503
    code = "shutting_down"


class OwnersUnavailable(GatewayError):
    """Who owns what is not known at present, so nothing that is stored is served."""

    status = 503
    code = "ownership_unavailable"
