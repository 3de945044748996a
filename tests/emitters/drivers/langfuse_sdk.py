"""The Langfuse SDK: its wrapper of `openai` beneath an agent of its own."""

import langfuse
import openai_calls
from langfuse.openai import openai

client = langfuse.get_client()
with client.start_as_current_observation(name="toll-agent", as_type="agent"):
    openai_calls.run(openai.OpenAI(max_retries=0))
client.flush()
