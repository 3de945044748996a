"""The finance API: who may do what, the close from end to end, corrections of a closed month, pages and streams."""

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.client import Client

from analytics import pack_check, rate_cards, trail
from analytics.accounts import book
from analytics.api import errors, paging
from analytics.api.app import create
from analytics.api.finance import Finance
from analytics.control import ControlDown
from analytics.exports import write
from analytics.invoices import import_file
from analytics.periods.blockers import Inspection
from analytics.periods.close import Close
from dashboards.front import Front
from deploy.control import Doorway
from gateway.control.database import Database
from tests.analytics.invoice_files import csv_file, row
from tests.analytics.landed import attempt, land
from tests.analytics.recon_builders import card
from tests.analytics.test_month import no_hosts
from tests.conftest import RunningStore

pytestmark = pytest.mark.slow

DECEMBER = datetime(2026, 12, 2, 9, tzinfo=UTC)
PEOPLE = {
    "mia": ["finance"],
    "ann": ["finance_approver"],
    "ops": ["sre"],
    "root": ["admin"],
    "viewer": ["tenant:acme"],
    "nobody": ["tenant:none"],
}


@dataclass
class House:
    """An installation: a store with a month in it, a control database, people with tokens, and what is inspected."""

    door: Doorway
    close: Close
    found: list[Inspection]
    tokens: dict[str, str]
    passwords: dict[str, str]
    now: datetime = DECEMBER
    app: Any = None

    async def ask(self, who: str, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(Front(self.app, (), home="/", api=self.app))
        headers = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8050") as client:
            return await client.request(method, f"/api/v1{path}", json=body, headers=headers, **options)

    async def step(self, who: str, step: str, month: str = "2026-11", reason: str = "") -> tuple[int, Any]:
        answer = await self.ask(who, "POST", f"/periods/{month}/{step}", {"reason": reason})
        found = answer.json()
        return answer.status_code, found["error"]["code"] if "error" in found else found["state"]

    async def closed(self, month: str = "2026-11") -> None:
        for who, step in (*[("mia", s) for s in ("provision", "invoice", "match", "sign")], ("ann", "review")):
            status, _ = await self.step(who, step, month)
            assert status == 200, (step, status)
        assert await self.step("ann", "close", month) == (200, "closed")


@dataclass(frozen=True)
class Accounts:
    """A control database with everybody's account in it, to be copied: hashing passwords is slow on purpose."""

    folder: Path
    tokens: dict[str, str]
    passwords: dict[str, str]


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    folder = tmp_path_factory.mktemp("accounts")
    database = Database.under(folder)
    door = Doorway(database)
    made = Accounts(folder, {}, {})
    with door.transaction() as connection:
        for name, roles in PEOPLE.items():
            made.passwords[name] = book.add(connection, name, roles, by="test", now=DECEMBER)
            made.tokens[name] = book.issue(connection, name, days=365, by="test", now=DECEMBER)
    database.close()
    return made


@pytest.fixture
def house(store: RunningStore, accounts: Accounts, tmp_path: Path) -> Iterator[House]:
    store.empty()
    rate_cards.load(store.writer, [card()], now=DECEMBER)
    land(store.writer, *(attempt(tenant=tenant, alias=alias) for tenant in ("acme", "globex") for alias in ("a", "b")))
    land(store.writer, attempt("2026-11-04T10:00"))
    bill(store.writer, tmp_path, more=0)
    shutil.copytree(accounts.folder / "control", tmp_path / "control")
    database = Database.under(tmp_path)
    door = Doorway(database)

    @contextmanager
    def client() -> Iterator[Client]:
        yield store.reader

    found = [Inspection()]
    close = Close(door, client, lambda *_: found[0], no_hosts, tool="tollway test")
    made = House(door, close, found, dict(accounts.tokens), accounts.passwords)
    made.app = create(Finance(door, client, close, lambda: made.now), version="0")
    yield made
    database.close()


def bill(writer: Client, folder: Path, *, more: int) -> None:
    """The invoice of November: five attempts of 1000 in and 100 out, and `more` beyond them."""
    day = datetime(2026, 11, 3, tzinfo=UTC).date()
    later = datetime(2026, 11, 4, tzinfo=UTC).date()
    rows = [
        row("0.000600", "4000", "gpt-4o-mini, input", day=day),
        row("0.000240", "400", "gpt-4o-mini, output", day=day),
        row("0.000150", "1000", "gpt-4o-mini, input", day=later),
        row(
            f"{Decimal('0.000060') + more * Decimal('0.0000006'):f}", str(100 + more), "gpt-4o-mini, output", day=later
        ),
    ]
    at = DECEMBER + timedelta(minutes=more)
    import_file(writer, csv_file(folder, *rows), provider="openai", account="org-main", now=at)


async def test_the_close_from_end_to_end_and_what_came_late_is_corrected_in_the_open_month(
    house: House, store: RunningStore, tmp_path: Path
) -> None:
    assert await house.step("mia", "sign") == (409, "wrong_state")
    assert await house.step("viewer", "provision") == (403, "forbidden")
    for step, state in (
        ("provision", "provisional"),
        ("invoice", "invoiced"),
        ("match", "matched"),
        ("sign", "matched"),
    ):
        assert await house.step("mia", step) == (200, state)
    assert await house.step("mia", "review") == (403, "forbidden")
    assert await house.step("ann", "review") == (200, "signed")
    assert await house.step("ann", "close") == (200, "closed")
    november = house.close.pack("2026-11", now=house.now)
    write(november, tmp_path / "11")
    assert pack_check.check(tmp_path / "11") == []
    manifest = json.loads(november.files["manifest.json"])
    assert (manifest["state"], manifest["sign_off"]["prepared_by"], manifest["sign_off"]["reviewed_by"]) == (
        "closed",
        "mia",
        "ann",
    )
    trailed = (await house.ask("ops", "GET", "/periods/2026-11/audit")).json()["rows"]
    assert [(each["actor"], each["action"]) for each in trailed] == [
        *(("mia", f"period_{step}") for step in ("provision", "invoice", "match", "sign")),
        ("ann", "period_review"),
        ("ann", "period_close"),
    ]
    assert {each["detail"]["totals"]["invoiced"] for each in trailed} == {"0.00105"}
    assert trailed[-1]["detail"]["pack_sha256"] == november.sha256

    # A span and a newer invoice come after the close: November's pack stays, December's has the difference.
    land(store.writer, attempt("2026-11-04T11:00", tenant="late"))
    bill(store.writer, tmp_path, more=100)
    house.now = datetime(2027, 1, 2, tzinfo=UTC)
    assert house.close.pack("2026-11", now=house.now) == november
    december = house.close.pack("2026-12", now=house.now)
    late = list(csv.DictReader(io.StringIO(december.files["recon_corrections.csv"].decode())))
    assert [(each["closed_month"], each["day"], each["token_class"]) for each in late] == [
        ("2026-11", "2026-11-04", "input_uncached"),
        ("2026-11", "2026-11-04", "output"),
    ]
    assert [(each["cost_ledger"], each["cost_invoice"]) for each in late] == [("0.00015", "0"), ("0.00006", "0.00006")]
    charges = list(csv.DictReader(io.StringIO(december.files["focus_cost_and_usage.csv"].decode())))
    assert {each["ChargeClass"] for each in charges} == {"Correction"}
    assert {each["ChargePeriodStart"] for each in charges} == {"2026-11-04T00:00:00Z"}
    assert {each["BillingPeriodStart"] for each in charges} == {"2026-12-01T00:00:00Z"}
    assert sum(Decimal(each["BilledCost"]) for each in charges) == Decimal("0.00006")
    assert any(each["SubAccountId"] == "late" for each in charges), "who came late bears its share"
    await house.closed("2026-12")
    write(house.close.pack("2026-12", now=house.now), tmp_path / "12")
    assert pack_check.check(tmp_path / "12", tmp_path / "11") == []
    assert b"2026-11" not in house.close.pack("2027-01", now=house.now).files["recon_corrections.csv"], "told once"
    assert await house.step("ann", "reopen", "2026-11", "too late") == (409, "later_month_closed")
    assert await house.step("ann", "reopen", "2026-12") == (409, "reason_missing")
    assert await house.step("ann", "reopen", "2026-12", "the vendor sent another invoice") == (200, "open")


async def test_a_signature_is_blocked_with_the_list_of_all_that_is_in_the_way(
    house: House, store: RunningStore, tmp_path: Path
) -> None:
    for step in ("provision", "invoice", "match"):
        assert (await house.step("mia", step))[0] == 200
    land(store.writer, attempt(model="no-card"), attempt(account="org-eu", alias="other"))
    huge = [row("5.000600", "4000", "gpt-4o-mini, input", day=datetime(2026, 11, 3, tzinfo=UTC).date())]
    at = DECEMBER + timedelta(hours=1)
    import_file(store.writer, csv_file(tmp_path, *huge), provider="openai", account="org-main", now=at)
    house.found[0] = Inspection(pending=3, parked=2, faults=("rollup days is not what the facts say",), unknown=("?",))
    house.now = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    answer = await house.ask("mia", "POST", "/periods/2026-11/sign", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "blocked")
    blocked = answer.json()["error"]["blockers"]
    assert sorted(each["kind"] for each in blocked) == [
        "audit_failed", "audit_unknown", "missing_invoice", "not_ended", "parked", "pending", "unexplained", "unpriced",
    ]  # fmt: skip
    assert (await house.ask("mia", "GET", "/periods/2026-11")).json()["blockers"] == blocked


async def test_figures_that_changed_after_a_signature_must_be_signed_again(house: House, store: RunningStore) -> None:
    for step in ("provision", "invoice", "match", "sign"):
        assert (await house.step("mia", step))[0] == 200
    land(store.writer, attempt("2026-11-04T12:00"))
    assert await house.step("ann", "review") == (409, "figures_changed")
    assert await house.step("mia", "sign") == (200, "matched")
    assert await house.step("ann", "review") == (200, "signed")


async def test_without_a_good_token_nothing_is_told_but_how_to_get_one(house: House) -> None:
    paths = (await house.ask("", "GET", "/openapi.json")).json()["paths"]
    filled = {"month": "2026-11", "part": "lines", "step": "sign", "name": "x", "exception_id": "x"}
    routes = [(method, path.format(**filled)) for path, methods in paths.items() for method in methods]
    assert len(routes) > 12
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for header in ("", "Bearer", "Bearer x", "Basic bWlhOng=", "bearer tollway_"):
            for method, path in routes:
                if path != "/api/v1/tokens":
                    headers = {"authorization": header} if header else {}
                    answer = await client.request(method, path, headers=headers, json={})
                    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated"), path
                    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_tenants_viewer_sees_its_own_spend_and_nothing_else(house: House) -> None:
    span = "since=2026-11-01&until=2026-12-01"
    own = (await house.ask("viewer", "GET", f"/spend?{span}")).json()["rows"]
    assert {each["tenant"] for each in own} == {"acme"}
    assert (await house.ask("viewer", "GET", f"/spend?{span}&tenant=globex")).json()["error"]["code"] == "forbidden"
    assert "globex" not in (await house.ask("viewer", "GET", f"/spend?{span}&format=csv")).text
    assert (await house.ask("nobody", "GET", f"/spend?{span}")).json()["rows"] == []
    for path in ("/reconciliation/2026-11", "/exceptions?month=2026-11", "/periods", "/exports/2026-11", "/rate-cards"):
        assert (await house.ask("viewer", "GET", path)).status_code == 403, path
    assert (await house.ask("ops", "GET", "/accounts")).status_code == 403
    assert "password" not in (await house.ask("root", "GET", "/accounts")).text
    (held,) = (await house.ask("root", "GET", "/rate-cards")).json()["rows"]
    assert (held["effective_to"], held["effective_from"][:4]) == (None, "2023"), "a card without an end has none"


async def test_pages_hold_together_when_rows_come_between_and_the_csv_has_them_all(
    house: House, store: RunningStore
) -> None:
    span = "/spend?since=2026-11-01&until=2026-12-01"
    first = (await house.ask("ops", "GET", f"{span}&limit=2")).json()
    assert [(each["day"], each["tenant"], each["alias"]) for each in first["rows"]] == [
        ("2026-11-03", "acme", "a"),
        ("2026-11-03", "acme", "b"),
    ]
    land(store.writer, attempt("2026-11-02T10:00"), attempt(tenant="acme", alias="0"), attempt(tenant="zeta"))
    rest, cursor = [], first["next"]
    while cursor:
        page = (await house.ask("ops", "GET", f"{span}&limit=2&cursor={cursor}")).json()
        rest, cursor = [*rest, *page["rows"]], page["next"]
    assert [(each["tenant"], each["alias"]) for each in rest] == [
        ("globex", "a"), ("globex", "b"), ("zeta", "fast"), ("acme", "fast"),
    ]  # fmt: skip
    text = (await house.ask("ops", "GET", f"{span}&format=csv")).text
    assert len(text.split("\r\n")) == 1 + 8 + 1
    whole = (await house.ask("ops", "GET", span)).json()["rows"]
    assert sum(Decimal(each["cost_usd"]) for each in whole) == Decimal("0.00021") * 8


async def test_a_months_tables_are_those_of_its_pack_and_filters_narrow_them(house: House) -> None:
    pack = house.close.pack("2026-11", now=house.now)
    for path, file in (
        ("/reconciliation/2026-11/lines", "recon_lines.csv"),
        ("/reconciliation/2026-11/by-alias-tenant", "recon_by_alias_tenant.csv"),
        ("/reconciliation/2026-11", "recon_summary.csv"),
        ("/exceptions?month=2026-11", "recon_exceptions.csv"),
    ):
        answer = (await house.ask("ops", "GET", path)).json()
        told = list(csv.DictReader(io.StringIO(pack.files[file].decode())))
        assert [{name: value or "" for name, value in each.items()} for each in answer["rows"]] == told, path
    assert (await house.ask("ops", "GET", "/exports/2026-11/recon_lines.csv")).content == pack.files["recon_lines.csv"]
    streamed = await house.ask("ops", "GET", "/reconciliation/2026-11/lines?format=csv")
    assert streamed.content == pack.files["recon_lines.csv"]
    page = (await house.ask("ops", "GET", "/reconciliation/2026-11/lines?limit=3")).json()
    rest = (await house.ask("ops", "GET", f"/reconciliation/2026-11/lines?cursor={page['next']}")).json()
    assert (len(page["rows"]), len(rest["rows"]), rest["next"]) == (3, 1, None)
    none = (await house.ask("ops", "GET", "/reconciliation/2026-11/lines?variance_class=RATE")).json()
    assert none == {"rows": [], "next": None}


async def test_an_exception_gets_an_owner_and_a_note_until_the_month_is_signed(
    house: House, store: RunningStore, tmp_path: Path
) -> None:
    land(store.writer, attempt("2026-11-09T10:00"))
    [first, _] = (await house.ask("mia", "GET", "/exceptions?month=2026-11")).json()["rows"]
    path = f"/exceptions/2026-11/{first['exception_id']}"
    assert (await house.ask("ops", "PUT", path, {"owner": "x", "note": ""})).status_code == 403
    assert (await house.ask("mia", "PUT", path, {"owner": "mia", "note": "=asked the vendor"})).status_code == 200
    [owned] = (await house.ask("mia", "GET", "/exceptions?month=2026-11&owner=mia")).json()["rows"]
    assert owned == first | {"owner": "mia", "note": "=asked the vendor"}
    assert b"'=asked the vendor" in house.close.pack("2026-11", now=house.now).files["recon_exceptions.csv"]
    with house.door.transaction() as connection:
        [entry] = trail.entries(connection, subject=f"2026-11/{first['exception_id']}")
    assert (entry.actor, entry.detail["after"]) == ("mia", {"owner": "mia", "note": "=asked the vendor"})
    unknown = await house.ask("mia", "PUT", "/exceptions/2026-11/none", {"owner": "", "note": ""})
    assert unknown.json()["error"]["code"] == "not_found"
    for who, step in (*[("mia", s) for s in ("provision", "invoice", "match", "sign")], ("ann", "review")):
        assert (await house.step(who, step))[0] == 200
    assert (await house.ask("mia", "PUT", path, {"owner": "", "note": ""})).json()["error"]["code"] == "contested"


WRONG = [
    ("/spend?since=2026-11-01", "invalid_request", "until"),
    ("/spend?since=2026-11-02&until=2026-11-02", "invalid_request", "until"),
    ("/spend?since=2025-01-01&until=2026-12-01", "invalid_request", "until"),
    ("/spend?since=2026-11-01&until=2026-11-02&limit=1001", "invalid_request", "limit"),
    ("/spend?since=2026-11-01&until=2026-11-02&cursor=%00", "cursor_unknown", "cursor"),
    ("/rate-cards?cursor=WyJhIiwiYiJd", "cursor_unknown", "cursor"),
    ("/periods/2026-13", "invalid_request", "month"),
    ("/periods/2199-01", "month_invalid", None),
    ("/reconciliation/2026-11/all", "invalid_request", "part"),
    ("/reconciliation/2026-11/lines?tenant=acme", "invalid_request", "tenant"),
    ("/exports/2026-11/none.csv", "not_found", "name"),
    ("/nothing", "not_found", None),
]


async def test_a_wrong_request_is_told_its_field_in_one_envelope(house: House) -> None:
    for path, code, named in WRONG:
        error = (answer := await house.ask("ops", "GET", path)).json()["error"]
        assert (answer.status_code, error["code"], error["field"]) == (errors.CODES[code], code, named), path


async def test_a_password_gets_a_token_of_half_a_day_and_a_wrong_one_is_counted(house: House) -> None:
    good = {"name": "mia", "password": house.passwords["mia"]}
    token = (await house.ask("", "POST", "/tokens", good)).json()["token"]
    house.tokens["again"] = token
    assert (await house.ask("again", "GET", "/me")).json()["name"] == "mia"
    house.now += timedelta(hours=12)
    assert (await house.ask("again", "GET", "/me")).status_code == 401
    for _ in range(5):
        assert (await house.ask("", "POST", "/tokens", good | {"password": "x"})).status_code == 401
    assert (await house.ask("", "POST", "/tokens", good)).status_code == 401, "it rests"


async def test_the_document_is_served_whole_and_names_nothing_from_afar(house: House) -> None:
    document = await house.ask("", "GET", "/openapi.json")
    assert document.status_code == 200
    assert not re.search(r"https?://(?!127\.0\.0\.1)", document.text)
    assert {"bearer"} == {each["scheme"] for each in document.json()["components"]["securitySchemes"].values()}
    for path in ("/docs", "/redoc"):
        assert (await house.ask("ops", "GET", path)).status_code == 404


async def test_a_control_database_that_is_away_is_told_and_found_again(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.write_text("in the way")
    door = Doorway(Database.under(folder))
    with pytest.raises(ControlDown), door.transaction():
        pass
    folder.unlink()
    with door.transaction() as connection:
        assert book.accounts(connection) == []


def test_a_stream_takes_no_more_rows_than_it_has_sent() -> None:
    taken = 0

    def endless() -> Iterator[tuple[int]]:
        nonlocal taken
        while True:
            taken += 1
            yield (taken,)

    chunks = paging.chunks(("n",), endless())
    assert next(chunks) == b"n\r\n"
    assert next(chunks).startswith(b"1\r\n2\r\n")
    assert taken == paging.CHUNK_ROWS
