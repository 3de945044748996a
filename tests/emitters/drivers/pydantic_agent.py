"""A pydantic-ai agent that calls a tool: a parent that repeats the usage of the two calls beneath it."""

import os

import tracing
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

Agent.instrument_all(InstrumentationSettings(tracer_provider=tracing.provider()))
model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=os.environ["OPENAI_BASE_URL"], api_key="k"))
agent = Agent(model, name="toll_agent")


@agent.tool_plain
def toll(axles: int) -> str:
    """What a vehicle pays."""
    return f"{axles} euro"


agent.run_sync("What does a tollway do?")
