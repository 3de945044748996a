"""LiteLLM's OpenTelemetry callback: v1, or v2 where LITELLM_OTEL_V2 says so."""

import asyncio
import contextlib
import os

import litellm
import openai_calls

BASE = os.environ["OPENAI_BASE_URL"]


async def main() -> None:
    """Wait a moment of the loop after each call: LiteLLM logs from tasks of its own."""
    asked = {"messages": openai_calls.ASKED, "api_base": BASE, "max_retries": 0}
    await litellm.acompletion(model="openai/gpt-4o-mini", max_tokens=64, **asked)
    await settled()
    stream = await litellm.acompletion(
        model="openai/gpt-4o-mini", stream=True, stream_options={"include_usage": True}, **asked
    )
    async for _ in stream:
        pass
    await settled()
    await litellm.acompletion(model="openai/gpt-4o-mini", tools=[openai_calls.TOOL], **asked)
    await settled()
    await litellm.aembedding(model="openai/text-embedding-3-small", input=["a toll"], api_base=BASE, max_retries=0)
    await settled()
    with contextlib.suppress(Exception):
        await litellm.acompletion(model="openai/no-such-model", **asked)
    await settled()


async def settled() -> None:
    """Until the callbacks of the last call ran."""
    await asyncio.sleep(1.5)


litellm.callbacks = ["otel"]
asyncio.run(main())
