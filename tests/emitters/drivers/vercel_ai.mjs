// The Vercel AI SDK with its telemetry on: a call with a tool (an outer span that repeats the usage of two steps), a stream,
// an embedding.
import { createOpenAI } from "@ai-sdk/openai";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { embed, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
provider.register();
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "k" });
const telemetry = { isEnabled: true, functionId: "toll", metadata: { userId: "u-7", sessionId: "s-7" } };
const toll = tool({
  description: "What a vehicle pays.",
  inputSchema: z.object({ axles: z.number() }),
  execute: async ({ axles }) => `${axles} euro`,
});
const prompt = "What does a tollway do?";
await generateText({
  model: openai.chat("gpt-4o-mini"), prompt, tools: { toll }, stopWhen: stepCountIs(3), experimental_telemetry: telemetry,
});
await streamText({ model: openai.chat("gpt-4o-mini"), prompt, experimental_telemetry: telemetry }).consumeStream();
await generateText({ model: openai("gpt-4o-mini"), prompt, experimental_telemetry: telemetry });
await embed({ model: openai.embedding("text-embedding-3-small"), value: "a toll", experimental_telemetry: telemetry });
await provider.forceFlush();
