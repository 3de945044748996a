"""`tollway audit` proves that facts, rollups and ledger agree, and names what does not: hour, tenant, batch, sender."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner

from analytics.rollups import catch_up
from collector.batches import Batch
from collector.ledger import Kind, Ledger
from collector.planning import SegmentPlan
from deploy.cli import audit, exits
from gateway.domain import clock
from sql.credentials import READER, WRITER
from tests.analytics.landed import attempt, land
from tests.conftest import RunningStore

pytestmark = pytest.mark.slow

CONFIG = """
store: {{url: "{url}", user: {writer}, password: "{password}", reader_user: {reader}, reader_password: "{reads}"}}
data_dir: {data}
tenants: {{acme: {{keys: ["a-key-of-enough-length"]}}}}
tiers: {{interactive: {{max_inflight: 4}}}}
upstreams: {{one: {{base_url: "https://a.example/v1", api_key: k, provider: openai, account: main}}}}
aliases: {{fast: {{tier: interactive, targets: [{{upstream: one, model: m}}]}}}}
"""
SENDER = "gateway"


class Installation:
    """A store, a ledger beside it, and what `tollway audit` says of both."""

    def __init__(self, store: RunningStore, folder: Path) -> None:
        store.empty()
        self.store = store
        self.folder = folder
        self.now = clock.utc_now()
        self.config = folder / "tollway.yaml"
        passwords = {"password": store.password(WRITER), "reads": store.password(READER)}
        text = CONFIG.format(url=store.url, writer=WRITER, reader=READER, data=folder / "data", **passwords)
        self.config.write_text(text, "utf-8")
        self.ledger = Ledger(folder / "data" / "collector" / "ledger", lambda _: None, now_ms=self.ms(self.now))

    @staticmethod
    def ms(at: datetime) -> int:
        return int(at.timestamp() * 1000)

    def batch(self, name: str, at: datetime, rows: int, segment: int) -> Batch:
        made = Batch(
            batch_id=name, segment=segment, sender=SENDER, tenant=None, received_ms=self.ms(at), offsets=(0,), rows=rows
        )
        self.ledger.plan(
            SegmentPlan(
                segment=segment,
                received_ms=made.received_ms,
                batches=(made,),
                received={SENDER: rows + 1},
                duplicates={SENDER: 1},
            )
        )
        return made

    def landed(self) -> dict[str, object]:
        """Two batches of a day ago and one of now that is on its way; one of their rows."""
        yesterday = self.now - timedelta(days=1)
        rows = [attempt(yesterday, batch_id="first", received_at=yesterday, tenant="acme") for _ in range(3)]
        rows += [attempt(yesterday, batch_id="second", received_at=yesterday, tenant="zeta")]
        land(self.store.writer, *rows)
        for segment, (name, count) in enumerate((("first", 3), ("second", 1)), start=1):
            self.batch(name, yesterday, count, segment)
            self.ledger.end(name, stored={"acme": count}, parked=0)
        self.batch("under-way", self.now, 5, segment=3)
        catch_up(self.store.writer, now=self.now)
        return rows[0]

    def audit(self) -> tuple[int, dict[str, object]]:
        app = typer.Typer()
        audit.register(app)
        done = CliRunner().invoke(app, ["--config", str(self.config), "--json"])
        assert done.stdout, done.output
        return done.exit_code, json.loads(done.stdout)


@pytest.fixture
def installation(store: RunningStore, tmp_path: Path) -> Installation:
    return Installation(store, tmp_path)


def test_what_agrees_is_proven(installation):
    installation.landed()
    code, said = installation.audit()
    assert (code, said["proven"], said["faults"]) == (exits.OK, True, [])
    compared = {check["equality"]: check["compared"] for check in said["checks"]}
    assert compared["facts = ledger"] == 2


def delete_a_row(it: Installation, row: dict[str, object]) -> None:
    where = f"span_id = '{row['span_id']}'"
    it.store.writer.command(f"ALTER TABLE tollway.spans DELETE WHERE {where}", settings={"mutations_sync": 2})


def land_a_row_again(it: Installation, row: dict[str, object]) -> None:
    land(it.store.writer, row)


def land_what_the_ledger_never_had(it: Installation, row: dict[str, object]) -> None:
    land(it.store.writer, attempt(it.now, batch_id="stranger", received_at=it.now))


def edit_an_hour(it: Installation, row: dict[str, object]) -> None:
    edit(it, "rollup_hours", "cost_usd = 1")


def edit_a_day(it: Installation, row: dict[str, object]) -> None:
    edit(it, "rollup_days", "input_uncached = input_uncached + 1")


def edit_a_total(it: Installation, row: dict[str, object]) -> None:
    edit(it, "rollup_totals", "requests = 0")


def edit(it: Installation, table: str, what: str) -> None:
    it.store.writer.command(
        f"ALTER TABLE tollway.{table} UPDATE {what} WHERE tenant IN ('acme', '')", settings={"mutations_sync": 2}
    )


def misplace_a_parked_batch(it: Installation, row: dict[str, object]) -> None:
    it.batch("refused", it.now, 2, segment=4)
    it.ledger.end("refused", stored={}, parked=2)


def end_a_batch_with_a_span_too_few(it: Installation, row: dict[str, object]) -> None:
    it.ledger.end("under-way", stored={"acme": 3}, parked=1)


def write_an_entry_that_means_nothing(it: Installation, row: dict[str, object]) -> None:
    it.ledger._writer.append(Kind.END, orjson.dumps({"no": "entry"}))


BOOKS = "received = stored + duplicate + parked + pending"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ((delete_a_row,), {("facts = ledger", "first"), ("facts = rollups", "acme")}),
        (
            (edit_an_hour, edit_a_day, edit_a_total),
            {("facts = rollups", "hours"), ("facts = rollups", "days"), ("days = totals", "totals")},
        ),
        (
            (land_a_row_again, land_what_the_ledger_never_had),
            {
                ("facts = ledger", "first"),
                ("facts = ledger", "stranger"),
                ("one row a span", "span_key"),
                ("facts = rollups", "acme"),
            },
        ),
        (
            (misplace_a_parked_batch, end_a_batch_with_a_span_too_few, write_an_entry_that_means_nothing),
            {(BOOKS, "refused"), (BOOKS, SENDER), ("facts = ledger", "under-way"), ("facts = ledger", ".ledger at ")},
        ),
    ],
    ids=["facts", "rollups", "duplicates", "ledger"],
)
def test_each_equality_that_breaks_is_named_where_it_breaks_and_no_other(
    installation, broken: tuple[Callable[..., None], ...], named: set[tuple[str, str]]
):
    row = installation.landed()
    for break_it in broken:
        break_it(installation, row)
    code, said = installation.audit()
    assert code == exits.CHECK_FAILED
    assert not said["proven"]
    found = [(fault["equality"], fault["where"]) for fault in said["faults"]]
    for equality, where in named:
        assert any(one == equality and where in place for one, place in found), (equality, where, found)
    assert {one for one, _ in found} == {one for one, _ in named}


def test_without_a_ledger_nothing_of_it_is_proven(store, tmp_path):
    installation = Installation(store, tmp_path)
    for file in (tmp_path / "data" / "collector" / "ledger").iterdir():
        file.unlink()
    code, said = installation.audit()
    assert (code, said["proven"]) == (exits.CHECK_FAILED, False)
    assert [check["compared"] for check in said["checks"]][:2] == [None, None]
