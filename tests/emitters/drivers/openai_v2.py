"""opentelemetry-instrumentation-openai-v2, with the conventions that OTEL_SEMCONV_STABILITY_OPT_IN chooses."""

import openai
import openai_calls
import tracing
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

OpenAIInstrumentor().instrument(tracer_provider=tracing.provider())
openai_calls.run(openai.OpenAI(max_retries=0))
