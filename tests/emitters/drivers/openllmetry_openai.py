"""OpenLLMetry's instrumentation of the `openai` package."""

import openai
import openai_calls
import tracing
from opentelemetry.instrumentation.openai import OpenAIInstrumentor

OpenAIInstrumentor().instrument(tracer_provider=tracing.provider())
openai_calls.run(openai.OpenAI(max_retries=0))
