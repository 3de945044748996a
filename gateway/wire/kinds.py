"""The kinds of request that the data path answers, each with its route and its name in OpenTelemetry."""

from enum import StrEnum


class Kind(StrEnum):
    """What is asked for; the value is the surface an upstream must serve (gateway.config.Surface)."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"

    @property
    def route(self) -> str:
        """The client's path."""
        return ROUTES[self]

    @property
    def upstream_path(self) -> str:
        """The path below an upstream's base URL."""
        return ROUTES[self].removeprefix("/v1")

    @property
    def operation(self) -> str:
        """OTel's gen_ai.operation.name."""
        return OPERATIONS[self]


ROUTES = {
    Kind.CHAT: "/v1/chat/completions",
    Kind.COMPLETIONS: "/v1/completions",
    Kind.EMBEDDINGS: "/v1/embeddings",
    Kind.RESPONSES: "/v1/responses",
}

OPERATIONS = {
    Kind.CHAT: "chat",
    Kind.COMPLETIONS: "text_completion",
    Kind.EMBEDDINGS: "embeddings",
    Kind.RESPONSES: "chat",
}

OF_PATH = {route.encode(): kind for kind, route in ROUTES.items()}
"""The kind that a POST to a path asks for."""
