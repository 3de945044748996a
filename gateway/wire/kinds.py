"""The kinds of request that the data path answers, each with its route and its name in OpenTelemetry."""

from enum import StrEnum


class Kind(StrEnum):
    """What is asked for; the value is the surface an upstream must serve (gateway.config.Surface)."""

    route: str
    """The client's path."""
    operation: str
    """OTel's gen_ai.operation.name."""

    def __new__(cls, value: str, route: str, operation: str) -> "Kind":
        """A kind with what never changes of it, each an attribute."""
        kind = str.__new__(cls, value)
        kind._value_, kind.route, kind.operation = value, route, operation
        return kind

    CHAT = "chat", "/v1/chat/completions", "chat"
    COMPLETIONS = "completions", "/v1/completions", "text_completion"
    EMBEDDINGS = "embeddings", "/v1/embeddings", "embeddings"
    RESPONSES = "responses", "/v1/responses", "chat"

    @property
    def upstream_path(self) -> str:
        """The path below an upstream's base URL."""
        return self.route.removeprefix("/v1")


OF_PATH = {kind.route.encode(): kind for kind in Kind}
"""The kind that a POST to a path asks for."""
