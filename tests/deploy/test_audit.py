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
from collector.store import ClickHouseStore
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
SPOOL = "ab"


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
            batch_id=f"{SPOOL}-{name}",
            segment=segment,
            sender=SENDER,
            tenant=None,
            received_ms=self.ms(at),
            offsets=(0,),
            rows=rows,
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
        """Two batches of a day ago and one of now that is on its way, as the store was told; one of their rows."""
        yesterday = self.now - timedelta(days=1)
        rows = [attempt(yesterday, batch_id="ab-first", received_at=yesterday, tenant="acme") for _ in range(3)]
        rows += [attempt(yesterday, batch_id="ab-second", received_at=yesterday, tenant="zeta")]
        land(self.store.writer, *rows)
        for name, count, tenant in (("first", 3, "acme"), ("second", 1, "zeta")):
            self.batch(name, yesterday, count, segment=self.ms(yesterday) - count)
            self.ledger.end(f"{SPOOL}-{name}", stored={tenant: count}, parked=0)
        self.batch("under-way", self.now, 5, segment=self.ms(self.now) - 120_000)
        self.tell()
        catch_up(self.store.writer, now=self.now)
        return rows[0]

    def tell(self) -> None:
        """What the lander does within seconds."""
        rows = list(self.ledger.state.untold.values())
        ClickHouseStore(lambda: self.store.writer).tell(rows, spool=SPOOL, now_ms=self.ms(self.now))

    def lose_the_files(self) -> None:
        """From here on it is another machine than the collector's."""
        for file in (self.folder / "data" / "collector" / "ledger").iterdir():
            file.unlink()

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
    it.batch("refused", it.now, 2, segment=it.ms(it.now) - 110_000)
    it.ledger.end("ab-refused", stored={}, parked=2)
    it.tell()


def end_a_batch_with_a_span_too_few(it: Installation, row: dict[str, object]) -> None:
    it.ledger.end("ab-under-way", stored={"acme": 3}, parked=1)
    it.tell()


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
    installation.lose_the_files()
    code, said = installation.audit()
    assert (code, said["proven"]) == (exits.CHECK_FAILED, False)
    assert [check["compared"] for check in said["checks"]][:2] == [None, None]


def test_where_the_collectors_files_are_not_the_store_proves_it_by_what_it_was_told(installation):
    row = installation.landed()
    installation.tell()
    installation.lose_the_files()
    code, said = installation.audit()
    assert (code, said["proven"], said["faults"]) == (exits.OK, True, []), "what is told twice counts once"
    assert {check["equality"]: check["compared"] for check in said["checks"]}[BOOKS] == 3
    delete_a_row(installation, row)
    where = "entry = 'ab-second'"
    delete = f"ALTER TABLE tollway.ingest_ledger DELETE WHERE {where}"
    installation.store.writer.command(delete, settings={"mutations_sync": 2})
    code, said = installation.audit()
    assert code == exits.CHECK_FAILED
    found = {(fault["equality"], fault["where"].partition(" ")[0]): fault["words"] for fault in said["faults"]}
    assert found["facts = ledger", "ab-first"] == "spans in the store are not those that the ledger saw land"
    assert found["facts = ledger", "ab-second"] == "spans in the store of a batch that no ledger told of"
    assert [fault["where"] for fault in said["faults"] if fault["equality"] == BOOKS] == [
        f"{installation.now - timedelta(days=1):%Y-%m-%dT%H:00Z} gateway"
    ]
