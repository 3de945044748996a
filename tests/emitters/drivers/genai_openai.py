"""opentelemetry-instrumentation-genai-openai, the successor of openai-v2."""

import openai
import openai_calls
import tracing
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

OpenAIInstrumentor().instrument(tracer_provider=tracing.provider())
openai_calls.run(openai.OpenAI(max_retries=0))
