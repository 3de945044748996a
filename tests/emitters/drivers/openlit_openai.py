"""OpenLIT, which sets the whole pipeline up by itself."""

import openai
import openai_calls
import openlit
from opentelemetry import trace

openlit.init(disable_batch=True, disable_metrics=True, collect_gpu_stats=False, disabled_instrumentors=["httpx"])
openai_calls.run(openai.OpenAI(max_retries=0))
trace.get_tracer_provider().force_flush()
