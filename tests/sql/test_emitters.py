"""What other people's emitters send lands as the rows that were looked at, once each call, and nobody bills twice.

The corpora are written by `make verify-emitters`; the golden rows beside them are read before they are kept:
`TOLLWAY_WRITE_GOLDEN=1 pytest tests/sql/test_emitters.py` writes them.
"""

import os
from datetime import UTC, datetime

import pytest

from analytics import audit
from analytics.windows import Window
from tests.emitters.catalogue import EMITTERS
from tests.sql import corpora
from tests.sql.otlp import START, attempt, request, span
from tests.sql.test_landing import land, one, rows

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", corpora.names())
def test_what_an_emitter_sends_lands_as_its_golden_rows(store, name):
    landed = rows(store, land(store, corpora.payload(name), tenant="acme", sender="app"), order="started_at, span_id")
    found = corpora.as_csv(landed)
    if os.environ.get("TOLLWAY_WRITE_GOLDEN"):
        (corpora.FOLDER / f"{name}.csv").write_text(found, "utf-8")
    assert found == corpora.golden(name)


def test_every_driven_emitter_has_a_corpus_and_every_corpus_an_emitter():
    driven = {name for name in corpora.names() if not name.startswith("by_hand")}
    assert driven == {emitter.corpus.removesuffix(".json") for emitter in EMITTERS}


CALL = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
    "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2,
}  # fmt: skip
WINDOW = Window(datetime(2026, 9, 21, tzinfo=UTC), datetime(2026, 9, 22, tzinfo=UTC))


def calls(store, tenant):
    """(service, response id, what superseded it, billable) of a tenant's foreign calls."""
    answer = store.reader.query(
        "SELECT service, response_id, superseded_by, billable FROM tollway.foreign_calls WHERE tenant = {t:String} "
        "ORDER BY service, response_id, superseded_by",
        parameters={"t": tenant},
    )
    return [tuple(row) for row in answer.result_rows]


def test_an_application_behind_the_gateway_is_not_billed_twice(store):
    """By the answer's id whatever the application calls its provider, and whichever lands first."""
    tenant, answer = f"behind-{os.urandom(4).hex()}", os.urandom(8).hex()
    land(store, request(span(CALL | {"gen_ai.response.id": answer, "gen_ai.provider.name": "other"})), tenant=tenant)
    assert calls(store, tenant) == [("app", answer, "", True)]
    made = attempt(tollway__tenant=tenant, gen_ai__response__id=answer)
    land(store, request(span(made)))
    assert calls(store, tenant) == [("app", answer, "gateway", False)]
    rated = store.reader.command(f"SELECT count() FROM tollway.rated_attempts WHERE tenant = '{tenant}'")  # noqa: S608
    assert rated == 1


def test_a_call_that_the_gateway_joined_by_its_trace_is_the_gateways_though_it_names_no_answer(store):
    tenant, trace, app = f"traced-{os.urandom(4).hex()}", os.urandom(16), os.urandom(8)
    operation = {"tollway.tenant": tenant, "tollway.alias": "fast", "tollway.operation.outcome": "ok"}
    land(store, request(span(operation, kind=2, trace_id=trace, parent_span_id=app)))
    land(store, request(span(CALL, trace_id=trace, span_id=app), span(CALL, trace_id=trace)), tenant=tenant)
    assert calls(store, tenant) == [("app", "", "", True), ("app", "", "gateway", False)]


def test_an_attempt_of_another_tenant_takes_no_call_away(store):
    tenant, answer = f"mine-{os.urandom(4).hex()}", os.urandom(8).hex()
    land(store, request(span(attempt(tollway__tenant="rival", gen_ai__response__id=answer))))
    land(store, request(span(CALL | {"gen_ai.response.id": answer})), tenant=tenant)
    assert calls(store, tenant) == [("app", answer, "", True)]


def test_a_call_that_two_emitters_report_counts_once_and_the_fuller_report_is_the_one(store):
    tenant, answer = f"twice-{os.urandom(4).hex()}", os.urandom(8).hex()
    bare = {k: v for k, v in CALL.items() if "usage" not in k}
    said = {"gen_ai.response.id": answer}
    land(store, request(span(bare | said), service="a-bare"), tenant=tenant)
    land(store, request(span(CALL | said, start=START + 10**9), service="b-full"), tenant=tenant)
    assert calls(store, tenant) == [("a-bare", answer, "emitter", False), ("b-full", answer, "", True)]
    found = store.reader.query(
        "SELECT copies, services FROM tollway.double_emitters WHERE tenant = {t:String}", parameters={"t": tenant}
    )
    assert found.result_rows == [(2, ["a-bare", "b-full"])]


def test_one_call_that_litellm_sends_under_two_span_ids_is_found_by_the_audit(store):
    """The span keys differ, so nothing was taken out on the way in."""
    store.empty()
    land(store, corpora.payload("by_hand/litellm-twice"), tenant="acme")
    assert [tuple(r)[1:] for r in audit.duplicates(store.reader, WINDOW).rows()] == [("double_emitter", 1, 1)]
    assert [billable for *_, billable in calls(store, "acme")] == [True, False]


def test_an_agent_that_repeats_its_calls_usage_adds_nothing_to_them(store):
    tenant = f"agent-{os.urandom(4).hex()}"
    land(store, corpora.payload("by_hand/sentry"), tenant=tenant)
    total = store.reader.query(
        "SELECT sum(input_uncached + cache_read), sum(output + reasoning) FROM tollway.foreign_calls "
        "WHERE tenant = {t:String} AND billable",
        parameters={"t": tenant},
    )
    assert total.result_rows == [(1080, 62)]


def test_a_server_span_of_an_application_is_no_operation_of_the_gateway(store):
    batch_id = land(store, request(span({"http.route": "/chat", "user.id": "u"}, kind=2)), tenant="acme")
    assert rows(store, batch_id, "operations") == []
    forged = land(store, request(span({"tollway.alias": "fast"}, kind=2)), tenant="acme")
    assert rows(store, forged, "operations") == []
    assert {r["foreign_role"] for b in (batch_id, forged) for r in rows(store, b)} == {"other"}


def test_who_used_it_is_kept_as_a_hash_that_differs_by_tenant(store):
    given = CALL | {"user.id": "ann@example.com", "session.id": "s-1"}
    (mine,) = rows(store, land(store, request(span(given)), tenant="acme"))
    (theirs,) = rows(store, land(store, request(span(given)), tenant="other"))
    assert (len(mine["end_user"]), len(mine["session"])) == (32, 32)
    assert mine["end_user"] != theirs["end_user"]
    assert "ann@" not in str(mine)


def test_a_proxys_team_is_a_claim_and_names_no_tenant(store):
    row = one(store, CALL | {"litellm.team.id": "rival"})
    assert (row["tenant"], row["claimed_tenant"]) == ("", "rival")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"gen_ai.usage.input_tokens": 10}, {"gen_ai.usage.prompt_tokens": 99, "llm.token_count.prompt": 98}, 10),
        ({"gen_ai.usage.prompt_tokens": 11}, {"llm.token_count.prompt": 98, "ai.usage.promptTokens": 97}, 11),
        ({"llm.token_count.prompt": 12}, {"llm.usage.prompt_tokens": 98, "ai.usage.inputTokens": 97}, 12),
        ({"ai.usage.inputTokens": 13}, {"ai.usage.promptTokens": 98, "ai.usage.tokens": 97}, 13),
        ({"gen_ai.usage.input_tokens": ""}, {"gen_ai.usage.prompt_tokens": 14}, 14),
        ({"gen_ai.usage.input_tokens": 15}, {"langfuse.observation.usage_details": '{"input": 98, "output": 2}'}, 15),
    ],
)
def test_of_several_vocabularies_one_is_taken_and_none_is_added(store, first, second, expected):
    for given in ({**first, **second}, {**second, **first}):
        assert one(store, {"gen_ai.request.model": "m", **given})["input_uncached"] == expected


def test_a_total_that_the_parts_do_not_make_is_flagged_on_foreign_spans_and_kept_raw(store):
    row = one(store, CALL | {"gen_ai.usage.total_tokens": 40})
    assert (row["usage_invalid"], row["completeness"], row["input_uncached"]) == (True, "unknown", 0)
    assert '"total":"40"' in row["usage_raw"]
