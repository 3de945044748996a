"""The emitters that are driven, each with its pins. `make verify-emitters` writes what a new pin changes."""

from dataclasses import dataclass, field

SDK = ("opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2")


@dataclass(frozen=True, slots=True)
class Emitter:
    """One emitter: its corpus is named `<name>-<version>.json`."""

    name: str
    version: str
    driver: str
    packages: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def node(self) -> bool:
        """Whether its packages are npm's."""
        return self.driver.endswith(".mjs")

    @property
    def corpus(self) -> str:
        """The name of its file."""
        return f"{self.name}-{self.version}.json"


_OPENAI_V2 = (
    "opentelemetry-instrumentation-openai-v2==2.4b0", "opentelemetry-util-genai==0.4b0",
    "opentelemetry-instrumentation==0.66b2", "openai==3.54.0", "httpx==0.28.1", *SDK,
)  # fmt: skip
_LITELLM = ("litellm==1.106.2", "mcp==2.3.0", "openai==2.54.0", *SDK)

EMITTERS = (
    Emitter("openai-v2", "2.4b0", "openai_v2.py", _OPENAI_V2),
    Emitter(
        "openai-v2-latest", "2.4b0", "openai_v2.py", _OPENAI_V2,
        {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"},
    ),
    Emitter(
        "genai-openai", "1.3b0", "genai_openai.py",
        ("opentelemetry-instrumentation-genai-openai==1.3b0", "opentelemetry-util-genai==1.3b0",
         "opentelemetry-instrumentation==0.66b2", "openai==3.54.0", "httpx==0.28.1", *SDK),
    ),
    Emitter(
        "openllmetry", "0.62.4", "openllmetry_openai.py",
        ("opentelemetry-instrumentation-openai==0.62.4", "openai==3.54.0", *SDK),
    ),
    Emitter(
        "openinference", "0.1.66", "openinference_openai.py",
        ("openinference-instrumentation-openai==0.1.66", "openai==3.54.0", *SDK),
    ),
    Emitter("openlit", "1.45.0", "openlit_openai.py", ("openlit==1.45.0", "openai==2.54.0")),
    Emitter("litellm-v1", "1.106.2", "litellm_sdk.py", _LITELLM),
    Emitter("litellm-v2", "1.106.2", "litellm_sdk.py", _LITELLM, {"LITELLM_OTEL_V2": "true"}),
    Emitter("pydantic-ai", "2.68.0", "pydantic_agent.py", ("pydantic-ai-slim[openai]==2.68.0", *SDK)),
    Emitter("langfuse", "5.0.4", "langfuse_sdk.py", ("langfuse==5.0.4", "openai==3.54.0")),
    Emitter(
        "vercel-ai", "6.0.326", "vercel_ai.mjs",
        ("ai@6.0.326", "@ai-sdk/openai@3.0.141", "zod@4.6.7", "@opentelemetry/api@1.9.1",
         "@opentelemetry/sdk-trace-node@2.12.0", "@opentelemetry/exporter-trace-otlp-proto@0.223.1"),
    ),
)  # fmt: skip
