"""The calls that every emitter around the `openai` package is driven through, one of each kind."""

import contextlib

import openai

TOOL = {
    "type": "function",
    "function": {
        "name": "toll",
        "description": "What a vehicle pays.",
        "parameters": {"type": "object", "properties": {"axles": {"type": "integer"}}},
    },
}
ASKED = [{"role": "user", "content": "What does a tollway do?"}]


def run(client: openai.OpenAI) -> None:
    """Chat whole and streamed, a tool call, a response, an embedding, and a call that the vendor refuses."""
    client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, max_tokens=64)
    for _ in client.chat.completions.create(
        model="gpt-4o-mini", messages=ASKED, stream=True, stream_options={"include_usage": True}
    ):
        pass
    client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, tools=[TOOL])
    client.responses.create(model="gpt-4o-mini", input="What does a tollway do?")
    client.embeddings.create(model="text-embedding-3-small", input="a toll", encoding_format="float")
    with contextlib.suppress(openai.APIError):
        client.chat.completions.create(model="no-such-model", messages=ASKED)
