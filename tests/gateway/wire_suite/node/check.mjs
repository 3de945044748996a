// The wire suite with the official `openai` client for Node. One function a promise, named as in ../vendor.py.
// It is told where the gateway is and with which keys by GATEWAY_URL, ACME_KEY and GLOBEX_KEY.

import assert from "node:assert/strict";
import OpenAI from "openai";

const client = (apiKey) =>
  new OpenAI({ baseURL: `${process.env.GATEWAY_URL}/v1`, apiKey, maxRetries: 0, timeout: 20_000 });
const acme = client(process.env.ACME_KEY);
const globex = client(process.env.GLOBEX_KEY);

const messages = [{ role: "user", content: "Hi" }];
const hi = { model: "fast", messages };
const scenario = (name) => ({ headers: { "x-scenario": name } });
const ids = { prompt_cache_key: "pck", user: "ann", safety_identifier: "sid" };

async function echo(who, asked = {}, options = {}) {
  const got = await who.chat.completions.create({ ...hi, ...asked }, options);
  return JSON.parse(got.choices[0].message.content);
}

async function caught(promise, kind) {
  const error = await promise.then(
    () => assert.fail("no error was thrown"),
    (thrown) => thrown,
  );
  assert.ok(error instanceof kind, `${error.constructor.name} instead of ${kind.name}: ${error.message}`);
  return error;
}

async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

const checks = {
  async unknown_fields_arrive_both_ways() {
    const sent = await echo(acme, { from_the_future: { a: 1.5 }, verbosity: "low" });
    assert.deepEqual([sent.body.from_the_future, sent.body.verbosity], [{ a: 1.5 }, "low"]);
    const got = await acme.chat.completions.create(hi, scenario("choices"));
    assert.deepEqual(got.from_the_future, { a: 1.5 });
  },

  async developer_role_and_metadata_arrive() {
    const said = [{ role: "developer", content: "Be brief." }];
    const sent = await echo(acme, { messages: said, metadata: { k: "v" }, store: true });
    assert.deepEqual([sent.body.messages, sent.body.metadata], [said, { k: "v" }]);
  },

  async tool_call_deltas_arrive_interleaved() {
    const calls = {};
    for (const part of await all(await acme.chat.completions.create({ ...hi, stream: true }, scenario("tools")))) {
      for (const call of part.choices[0].delta.tool_calls ?? []) {
        const known = (calls[call.index] ??= { id: "", text: "" });
        known.id = call.id ?? known.id;
        known.text += call.function?.arguments ?? "";
      }
    }
    assert.deepEqual(calls, { 0: { id: "c0", text: '{"city":"Oslo"}' }, 1: { id: "c1", text: '{"city":"Rome"}' } });
  },

  async several_choices_and_logprobs_arrive() {
    const got = await acme.chat.completions.create({ ...hi, n: 2, logprobs: true }, scenario("choices"));
    assert.deepEqual(got.choices.map((choice) => choice.message.content), ["0", "1"]);
    assert.equal(got.choices[1].logprobs.content[0].logprob, -0.5);
    const sent = await echo(acme, { n: 2, logprobs: true, top_logprobs: 3 });
    assert.deepEqual([sent.body.n, sent.body.top_logprobs], [2, 3]);
  },

  async service_tier_arrives_both_ways() {
    assert.equal((await echo(acme, { service_tier: "flex" })).body.service_tier, "flex");
    assert.equal((await acme.chat.completions.create(hi, scenario("choices"))).service_tier, "flex");
  },

  async a_vendors_error_body_arrives() {
    const asked = acme.chat.completions.create(hi, scenario("unsupported"));
    const error = await caught(asked, OpenAI.BadRequestError);
    assert.deepEqual(error.error, {
      message: "Unsupported value: 'verbosity'.",
      type: "invalid_request_error",
      param: "verbosity",
      code: "unsupported_value",
    });
  },

  async an_error_under_status_200_is_an_error() {
    const error = await caught(acme.chat.completions.create(hi, scenario("under_200")), OpenAI.RateLimitError);
    assert.equal(error.code, "rate_limit_exceeded");
  },

  async ids_are_masked_on_a_shared_account() {
    const options = { headers: { "idempotency-key": "once" } };
    const first = await echo(acme, ids, options);
    const again = await echo(acme, ids, options);
    const other = await echo(globex, ids, options);
    for (const [name, value] of Object.entries(ids)) {
      assert.equal(first.body[name], again.body[name]);
      assert.notEqual(first.body[name], other.body[name]);
      assert.ok(![first.body[name], other.body[name]].includes(value));
    }
    assert.equal(first.headers["idempotency-key"], again.headers["idempotency-key"]);
    assert.notEqual(first.headers["idempotency-key"], other.headers["idempotency-key"]);
    assert.notEqual(first.headers["idempotency-key"], "once");
  },

  async ids_arrive_on_an_account_of_ones_own() {
    const sent = await echo(acme, { model: "own", ...ids }, { headers: { "idempotency-key": "once" } });
    for (const [name, value] of Object.entries(ids)) assert.equal(sent.body[name], value);
    assert.equal(sent.headers["idempotency-key"], "once");
  },

  async hints_are_forwarded() {
    const error = await caught(acme.chat.completions.create(hi, scenario("rate_limited")), OpenAI.RateLimitError);
    const hints = ["retry-after", "retry-after-ms", "x-should-retry", "x-ratelimit-remaining-requests"];
    assert.deepEqual(hints.map((name) => error.headers.get(name)), ["17", "17000", "false", "0"]);
  },

  async request_ids_are_the_clients_else_the_vendors() {
    const mine = { headers: { "x-request-id": "mine", "x-scenario": "hints" } };
    assert.equal((await acme.chat.completions.create(hi, mine))._request_id, "mine");
    assert.equal((await acme.chat.completions.create(hi, scenario("hints")))._request_id, "req_vendor");
    assert.match((await acme.chat.completions.create(hi))._request_id, /^req_/);
  },

  async usage_is_for_who_asked() {
    for (const asked of [undefined, false, true]) {
      const options = asked === undefined ? {} : { stream_options: { include_usage: asked } };
      const parts = await all(await acme.chat.completions.create({ ...hi, stream: true, ...options }));
      const told = parts.filter((part) => part.usage).length;
      assert.equal(told, asked ? 1 : 0);
      assert.equal(parts.some((part) => part.choices.length === 0), asked === true);
    }
  },

  async a_broken_stream_ends_in_band() {
    const words = [];
    const stream = await acme.chat.completions.create({ ...hi, stream: true }, scenario("cut"));
    const reading = (async () => {
      for await (const part of stream) words.push(part.choices[0].delta.content);
    })();
    const error = await caught(reading, OpenAI.APIError);
    assert.deepEqual([words, error.code], [["", "Hi"], "stream_broken"]);
  },

  async an_exhausted_ladder_is_no_rate_limit() {
    const asked = acme.chat.completions.create({ ...hi, model: "laddered" }, scenario("drop"));
    const error = await caught(asked, OpenAI.InternalServerError);
    assert.deepEqual([error.status, error.code], [502, "ladder_exhausted"]);
  },

  async own_errors_have_codes() {
    const errors = [
      await caught(acme.chat.completions.create({ ...hi, model: "fats" }), OpenAI.NotFoundError),
      await caught(acme.responses.create({ model: "fast" }), OpenAI.BadRequestError),
      await caught(
        client("not-a-key-of-anyone").embeddings.create({ model: "fast", input: "x" }),
        OpenAI.AuthenticationError,
      ),
    ];
    assert.deepEqual(
      errors.map((error) => [error.code, error.param]),
      [["model_not_found", "model"], ["invalid_request", "input"], ["invalid_api_key", null]],
    );
  },

  async completions_whole_and_streamed() {
    const whole = await acme.completions.create({ model: "fast", prompt: "Hi", suffix: "!" });
    assert.deepEqual(JSON.parse(whole.choices[0].text).body, { model: "m0", prompt: "Hi", suffix: "!" });
    const parts = await all(await acme.completions.create({ model: "fast", prompt: "Hi", stream: true }));
    assert.deepEqual(parts.map((part) => part.choices[0].text), ["Hel", "lo", ""]);
  },

  async embeddings_arrive() {
    const got = await acme.embeddings.create({ model: "fast", input: ["a", "b"] });
    assert.deepEqual(got.data.map((item) => [...item.embedding]), [[1, 2], [1, 2]]);
    assert.equal(got.usage.prompt_tokens, 8);
  },

  async responses_whole_and_streamed() {
    const asked = { model: "fast", input: "Hi" };
    const whole = await acme.responses.create({ ...asked, instructions: "Be brief." });
    assert.deepEqual(JSON.parse(whole.output_text).body, { model: "m0", input: "Hi", instructions: "Be brief." });
    const parts = await all(await acme.responses.create({ ...asked, stream: true }));
    assert.deepEqual(parts.map((part) => part.sequence_number), [...parts.keys()]);
    assert.deepEqual([parts[0].type, parts.at(-1).type], ["response.created", "response.completed"]);
    const text = parts.filter((part) => part.type === "response.output_text.delta").map((part) => part.delta);
    assert.equal(text.join(""), "Hello");
    assert.equal(parts.at(-1).response.usage.input_tokens_details.cached_tokens, 4);
  },

  async a_broken_response_ends_in_band() {
    const stream = await acme.responses.create({ model: "fast", input: "Hi", stream: true }, scenario("cut"));
    const parts = await all(stream).catch((thrown) => assert.fail(`it threw ${thrown}`));
    assert.deepEqual([parts.at(-1).type, parts.at(-1).code], ["error", "stream_broken"]);
    assert.deepEqual(parts.map((part) => part.sequence_number), [...parts.keys()]);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${name}: ${error.stack}`);
  }
}
process.exitCode = failed ? 1 : 0;
