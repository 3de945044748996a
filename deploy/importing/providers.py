"""Where the vendors that LiteLLM knows by a prefix answer the OpenAI wire, and where it looks for a key.

The base URLs of OpenAI, Azure (its v1 API), Anthropic, Cohere, DeepSeek, DeepInfra and Together are as the vendors' own
pages on OpenAI compatibility have them; of the others they are written down as commonly configured, and no vendor was
called. All of it as of November 2026: an import is a draft to try out.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor's OpenAI-compatible face."""

    provider: str
    """As Tollway's rate cards and invoices call it."""
    base_url: str = ""
    """Empty = it is the deployment's own api_base."""
    key_name: str = ""
    """The environment name LiteLLM takes a key from where none is given; empty = it needs none."""
    pattern: str = "direct"
    path: str = ""
    """What is put behind an api_base that does not end with it."""
    caveat: str = ""
    """What is known not to work there as Tollway calls it."""


COHERE = Vendor(
    "cohere",
    "https://api.cohere.ai/compatibility/v1",
    "COHERE_API_KEY",
    caveat="is said to refuse stream_options, which every streamed chat has here; try streams, or set streams: false",
)

VENDORS = {
    "openai": Vendor("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "text-completion-openai": Vendor("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "azure": Vendor("azure.ai.openai", "", "AZURE_API_KEY", path="/openai/v1"),
    "azure_ai": Vendor("azure.ai.inference", "", "AZURE_AI_API_KEY"),
    "anthropic": Vendor("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "gemini": Vendor("gcp.gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": Vendor("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Vendor("mistral_ai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "deepseek": Vendor("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "perplexity": Vendor("perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "xai": Vendor("x_ai", "https://api.x.ai/v1", "XAI_API_KEY"),
    "cohere": COHERE,
    "cohere_chat": COHERE,
    "together_ai": Vendor("together_ai", "https://api.together.ai/v1", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Vendor("fireworks_ai", "https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "deepinfra": Vendor("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "cerebras": Vendor("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "nvidia_nim": Vendor("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "openrouter": Vendor("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "aggregation"),
    "litellm_proxy": Vendor("litellm", "", "LITELLM_PROXY_API_KEY", "aggregation"),
    "hosted_vllm": Vendor("vllm", "", "", "edge"),
    "openai_like": Vendor("openai_like", "", "", "edge"),
    "lm_studio": Vendor("lm_studio", "", "", "edge"),
    "ollama": Vendor("ollama", "http://localhost:11434/v1", "", "edge", path="/v1"),
    "ollama_chat": Vendor("ollama", "http://localhost:11434/v1", "", "edge", path="/v1"),
}


def vendor_of(model: str, *, has_base: bool) -> tuple[Vendor | None, str]:
    """The vendor and its own name of the model, for LiteLLM's `prefix/model`; None where it has no face we know.

    Without a prefix LiteLLM goes by the model's name; here it is OpenAI's, or whatever speaks the wire at its api_base.
    """
    prefix, _, rest = model.partition("/")
    if prefix in VENDORS and rest:
        known = VENDORS[prefix]
        if prefix == "openai" and has_base:
            known = Vendor("openai_like", "", "", "edge")
        return known, rest
    if rest and not has_base:
        return None, model
    if model.startswith("claude"):
        return VENDORS["anthropic"], model
    if has_base:
        return Vendor("openai_like", "", "", "edge"), model
    return VENDORS["openai"], model
