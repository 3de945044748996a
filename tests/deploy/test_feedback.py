"""Whose request feedback is of is asked of the store, by request or by answer; a store that is not had says so."""

from pathlib import Path

import pytest

from deploy.feedback import look_up
from deploy.settings import Settings, read
from gateway.feedback.answered import Answered
from sql.credentials import READER
from tests.analytics.landed import attempt, land
from tests.conftest import RunningStore

CONFIG = """
store: {{url: "{url}", reader_user: {user}, reader_password: "{password}"}}
tenants: {{acme: {{keys: ["a-key-of-enough-length"]}}}}
tiers: {{interactive: {{max_inflight: 4}}}}
upstreams: {{one: {{base_url: "https://a.example/v1", api_key: k, provider: openai, account: main}}}}
aliases: {{fast: {{tier: interactive, targets: [{{upstream: one, model: m}}]}}}}
"""


def settings(folder: Path, url: str, password: str = "") -> Settings:
    config = folder / "tollway.yaml"
    config.write_text(CONFIG.format(url=url, user=READER, password=password), "utf-8")
    return read(config)


def test_the_latest_request_of_the_tenants_own_is_found_by_its_id_or_its_answers(
    store: RunningStore, tmp_path: Path
) -> None:
    operation = {"kind": 2, "attempt_id": "", "billable": False, "request_id": "asked"}
    old = attempt("2026-11-01", **operation, span_id="1" * 16)
    late = attempt("2026-11-02", **operation, span_id="2" * 16)
    others = attempt("2026-11-03", **operation, span_id="3" * 16, tenant="globex")
    answered = attempt("2026-11-02", response_id="chatcmpl-of-acme", request_id="asked")
    land(store.writer, old, late, others, answered)
    ask = look_up(settings(tmp_path, store.url, store.password(READER)))
    assert ask("acme", "asked", "") == Answered(str(late["trace_id"]), "2" * 16, "fast", "interactive", "asked")
    found = ask("acme", "", "chatcmpl-of-acme")
    assert found is not None
    assert (found.trace_id, found.span_id) == (answered["trace_id"], answered["parent_span_id"])
    assert [ask("globex", "", "chatcmpl-of-acme"), ask("acme", "never", ""), ask("acme", "", "")] == [None] * 3


def test_a_store_that_is_not_had_is_an_oserror_and_no_answer(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not asked"):
        look_up(settings(tmp_path, "http://127.0.0.1:1"))("acme", "asked", "")
