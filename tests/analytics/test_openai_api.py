"""Reports come page by page; limits are waited out, a fetch goes on where it stopped, and nobody is told the key."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
from typer.testing import CliRunner

from analytics.invoices.openai_api import TRIES, WAIT_MAX_S, Ask, FetchFailed, OpenAI, Report, wait_s
from deploy.cli import exits, invoices
from gateway.domain.clock import utc_now
from tests.analytics.invoice_files import bucket, page, result, seconds
from tests.analytics.test_invoice_formats import GOLDEN

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[2] / "deploy" / "config" / "tollway.example.yaml"
KEY = "sk-admin-very-secret"
THIRD, FOURTH, FIFTH = date(2026, 11, 3), date(2026, 11, 4), date(2026, 11, 5)

Answer = tuple[int, dict[str, str], str]


class Vendor:
    """Answers what it is told to, in order, over HTTP on loopback, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                vendor.asked.append((parts.path, parse_qs(parts.query), self.headers["Authorization"]))
                status, headers, body = vendor.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def says(self, *answers: object) -> None:
        """JSON with status 200, or (status, headers)."""
        self.answers = [
            (one[0], one[1], '{"error": {}}') if isinstance(one, tuple) else (200, {}, json.dumps(one, indent=1))
            for one in answers
        ]

    @property
    def pages_asked(self) -> list[str]:
        return [query.get("page", [""])[0] for _, query, _ in self.asked]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor()
    yield made
    made.close()


class Run:
    """One run of the command: what it slept, and what came of it."""

    def __init__(self, vendor: Vendor, folder: Path) -> None:
        self.slept: list[float] = []
        self.ask = Ask(report=Report.COSTS, account="org/main", since=THIRD, until=FIFTH, folder=folder)
        self.vendor = vendor

    def fetch(self, ask: Ask | None = None) -> Path:
        with OpenAI(
            KEY,
            base_url=self.vendor.url,
            clock=utc_now,
            draw=lambda: 0.0,
            sleep=self.slept.append,
        ) as api:
            return api.fetch(ask or self.ask)


@pytest.fixture
def run(vendor: Vendor, tmp_path: Path) -> Run:
    return Run(vendor, tmp_path)


FIRST = page(bucket(result(0.1))) | {"has_more": True, "next_page": "page_2"}
LAST = page(bucket(result(0.2), day=FOURTH))


def amounts(path: Path) -> list[str]:
    lines = [json.loads(line, parse_float=str) for line in path.read_text().splitlines()]
    return [one["amount"]["value"] for line in lines for each in line["data"] for one in each["results"]]


def test_pages_are_asked_for_one_by_one_and_kept_as_they_came(run, vendor):
    vendor.says(FIRST, LAST)
    path = run.fetch()
    assert (path.name, amounts(path)) == ("openai-org_main-costs-2026-11-03-2026-11-05.jsonl", ["0.1", "0.2"])
    assert vendor.pages_asked == ["", "page_2"]
    where, query, authorization = vendor.asked[0]
    assert (where, authorization) == ("/v1/organization/costs", f"Bearer {KEY}")
    assert query["group_by"] == ["line_item", "project_id", "api_key_id"]
    assert (query["start_time"], query["end_time"]) == ([str(seconds(THIRD))], [str(seconds(FIFTH))])
    assert not list(path.parent.glob("*.part"))


def test_limits_and_faults_are_waited_out_as_long_as_the_vendor_says(run, vendor):
    vendor.says((429, {"Retry-After": "7"}), (503, {}), FIRST, (500, {"Retry-After": "0"}), LAST)
    assert amounts(run.fetch()) == ["0.1", "0.2"]
    assert run.slept == [7.0, 2.0, 0.0]


def test_a_fetch_that_ended_early_goes_on_behind_its_last_whole_page(run, vendor):
    vendor.says(FIRST, (401, {}))
    with pytest.raises(FetchFailed, match="an admin key"):
        run.fetch()
    part = run.ask.path.with_suffix(".part")
    part.write_bytes(part.read_bytes() + b'{"object": "page", "da')  # As a kill in the middle of a write leaves it.
    vendor.says(LAST)
    assert amounts(run.fetch()) == ["0.1", "0.2"]
    assert vendor.pages_asked == ["", "page_2", "page_2"]


def test_a_page_that_the_vendor_has_forgotten_begins_the_fetch_anew(run, vendor):
    vendor.says(FIRST, (403, {}))
    with pytest.raises(FetchFailed):
        run.fetch()
    vendor.says((400, {}), FIRST, LAST)
    assert amounts(run.fetch()) == ["0.1", "0.2"]
    assert vendor.pages_asked == ["", "page_2", "page_2", "", "page_2"]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([(429, {"Retry-After": "3600"})], "answered 429 and asks to wait 3600; what was fetched is kept"),
        ([(502, {})] * TRIES, "answered 502; what was fetched is kept"),
        ([(404, {})], "answered 404"),
        ([{"hello": 1}], "no page of a report"),
        ([page(bucket()) | {"has_more": True}], "there is more, and not where"),
        ([FIRST, FIRST], "twice, so its pages never end"),
    ],
)
def test_a_vendor_that_does_not_give_the_report_is_told_of_and_no_file_has_its_name(run, vendor, answers, problem):
    vendor.says(*answers)
    with pytest.raises(FetchFailed) as caught:
        run.fetch()
    assert problem in str(caught.value)
    assert KEY not in str(caught.value)
    assert not run.ask.path.exists()


def test_a_vendor_that_is_not_there_is_tried_again_and_told_of(tmp_path):
    slept: list[float] = []
    with OpenAI(KEY, base_url="http://127.0.0.1:9", clock=lambda: NOW, draw=lambda: 1.0, sleep=slept.append) as api:
        ask = Ask(report=Report.USAGE, account="a", since=THIRD, until=FIFTH, folder=tmp_path)
        with pytest.raises(FetchFailed, match="not reached in 8 tries"):
            api.fetch(ask)
    assert slept == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("status", "retry_after", "tries", "wait"),
    [
        (429, "3", 1, 3.0),
        (429, "Fri, 20 Nov 2026 12:00:30 GMT", 1, 30.0),
        (429, "Fri, 20 Nov 2026 11:00:00 GMT", 1, 0.0),
        (429, "soon", 1, 1.0),
        (429, str(int(WAIT_MAX_S)), 1, WAIT_MAX_S),
        (429, str(int(WAIT_MAX_S) + 1), 1, None),
        (500, "", TRIES - 1, 30.0),
        (500, "", TRIES, None),
        (None, "", 1, 1.0),
        (400, "3", 1, None),
        (401, "", 1, None),
    ],
)
def test_how_long_to_wait_is_the_vendors_word_and_else_grows(status, retry_after, tries, wait):
    assert wait_s(status=status, retry_after=retry_after, tries=tries, draw=0.0, now=NOW) == wait


@pytest.mark.parametrize("base_url", ["http://api.openai.com", "ftp://127.0.0.1", "api.openai.com"])
def test_a_key_is_not_sent_where_others_could_read_it(base_url):
    with pytest.raises(FetchFailed, match="is not https"):
        OpenAI(KEY, base_url=base_url, clock=lambda: NOW, draw=lambda: 0.0, sleep=lambda _: None)


@pytest.mark.slow
def test_the_command_fetches_imports_lists_shows_and_voids_and_never_says_the_key(vendor, store, tmp_path, monkeypatch):
    store.empty()
    config = tmp_path / "tollway.yaml"
    config.write_text(EXAMPLE.read_text("utf-8"), "utf-8")
    for name in ("ACME_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "a-key-of-enough-length")
    app = typer.Typer()
    invoices.register(app)
    monkeypatch.setattr("deploy.store_access.writer", lambda _: store.writer)
    monkeypatch.setattr("deploy.store_access.reader", lambda _: store.reader)

    def tollway(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["invoices", *words, "--config", str(config)])
        return done.exit_code, done.output + (repr(done.exception) if done.exit_code == 1 else "")

    about = ["--provider", "openai", "--account", "org-main"]
    fetch = ["fetch", *about, "--from", "2026-11-03", "--to", "2026-11-05", "--base-url", vendor.url]
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    code, said = tollway(*fetch)
    assert (code, "no OPENAI_ADMIN_KEY" in said) == (exits.USAGE, True), said
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    vendor.says(FIRST, LAST)
    code, fetched = tollway(*fetch)
    assert (code, "openai_costs_json" in fetched) == (0, True)
    vendor.says(json.loads((GOLDEN / "openai_usage.json").read_text()))
    code, usage = tollway(*fetch, "--report", "usage")
    assert (code, vendor.asked[-1][0]) == (0, "/v1/organization/usage/completions")
    code, entered = tollway("add", *about, "--invoice-id", "INV-7", "--month", "2026-11", "--amount", "0.30")
    assert code == 0
    code, listed = tollway("list")
    assert [line.split("\t")[2:7:4] for line in listed.splitlines()[1:]] == [
        ["invoice", "stands"],
        ["usage", "stands"],
        ["cost", "stands"],
    ]
    code, shown = tollway("show", "INV-7")
    assert (code, "INV-7" in shown, "0.3" in shown) == (0, True, True)
    code, voided = tollway("void", "INV-7", "--reason", "entered twice")
    assert (code, "is void" in voided) == (0, True)
    assert KEY not in "".join((fetched, usage, entered, listed, shown, voided))
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
