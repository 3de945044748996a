"""The vendors as the demo runs them: started, asked for invoices and books, stopped; and the files can be imported."""

import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from analytics.invoices.entries import survey
from analytics.invoices.openai_api import Ask, OpenAI, Report
from analytics.invoices.sniff import kind_of
from deploy.demo import config
from deploy.demo.config import VendorFiles
from deploy.demo.options import DemoOptions, Ports
from deploy.demo.vendor import costs, invoice, ledger
from deploy.demo.vendor import settings as vendor_settings
from deploy.demo.vendors import VendorFailed, Vendors, books_of, fetch_export, open_requests
from gateway.domain.clock import utc_now
from tests.ports import free_port

SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)


def exported_lines(settings: vendor_settings.Settings) -> list[invoice.Line]:
    """Two days of two models at that vendor's prices."""
    rows = [
        ledger.Row(
            number=number,
            request_id=f"r{number}",
            response_id="c",
            received_at=SINCE + timedelta(days=number % 2),
            project_id="p",
            api_key_id="key",
            model=model.snapshot,
            tokens={"input": 1001 + number, "cached input": 128, "output": 33},
            billed=ledger.charge({"input": 1001 + number, "cached input": 128, "output": 33}, model),
        )
        for number, model in enumerate(settings.models.values())
    ]
    return invoice.lines(rows, settings.billing)


@pytest.mark.parametrize(
    ("name", "file_format"), [("openai-us", "openai_costs_csv"), ("azure-eu", "openai_costs_json")]
)
def test_the_importer_takes_either_export_whole(tmp_path: Path, name: str, file_format: str) -> None:
    files = config.write(DemoOptions(data=tmp_path))
    settings = vendor_settings.read(next(v.config for v in files.vendors if v.name == name))
    lines = exported_lines(settings)
    text = (
        costs.csv_export(lines, SINCE, UNTIL, settings)
        if file_format.endswith("csv")
        else costs.costs_page(lines, SINCE, UNTIL, group_by=["line_item"], limit=31, page="", org="o")
    )
    path = tmp_path / "export"
    path.write_text(text)
    importer = kind_of(path)
    found_format, read = importer.name, importer.read
    found = survey(path, read)
    entries = [entry for _, entry in read(path) if entry is not None]
    assert found_format == file_format
    assert (found.lines, found.total, found.scale) == (6, sum(line.amount for line in lines), 6)
    assert len(found.days) == 3
    assert [(e.model, e.quantity, e.amount) for e in entries] == [
        (line.line_item.split(",")[0], line.tokens, line.amount) for line in lines
    ]
    assert {e.token_class for e in entries} == {"input_uncached", "cache_read", "output"}


def fetched_total(vendor: VendorFiles, folder: Path, today: datetime) -> Decimal:
    """What the vendor's API says of the same days, as `tollway invoices fetch` asks it: over two pages."""
    days = {"since": (today - timedelta(days=198)).date(), "until": (today + timedelta(days=2)).date()}
    ask = Ask(report=Report.COSTS, account=vendor.account, folder=folder / "fetched", **days)
    with OpenAI(vendor.admin_key, base_url=vendor.url, clock=utc_now, draw=lambda: 0.0, sleep=lambda _: None) as api:
        path = api.fetch(ask)
    assert len(path.read_text("utf-8").splitlines()) == 2
    found = survey(path, ask.importer.read)
    assert len(found.days) == 200
    return found.total


@pytest.mark.slow
def test_vendors_start_answer_and_stop_and_their_books_and_invoices_agree(tmp_path: Path) -> None:
    files = config.write(DemoOptions(data=tmp_path, ports=Ports(vendors=(free_port(), free_port()))))
    with Vendors(files.vendors, tmp_path / "logs") as vendors:
        vendors.wait_ready()
        for vendor in files.vendors:
            key = (tmp_path / "secrets" / f"vendor-{vendor.name}").read_text()
            for _ in range(5):
                httpx.post(
                    f"{vendor.url}/v1/chat/completions",
                    headers={"authorization": f"Bearer {key}"},
                    json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 4},
                )
            period = {"since": SINCE.replace(year=2000), "until": SINCE.replace(year=2100)}
            books = books_of(vendor, **period)
            assert len(books.rows) == 5
            assert open_requests(books) == 0
            billed = sum(Decimal(amount) for row in books.rows for amount in row["billed"].values())
            today = datetime.fromisoformat(books.rows[0]["received_at"]).replace(
                hour=0, minute=0, second=0, microsecond=0
            )
            path = fetch_export(
                vendor, tmp_path / "invoices", since=today - timedelta(days=40), until=today + timedelta(days=2)
            )
            found = survey(path, kind_of(path).read)
            assert found.total == billed + books.rounding_usd + books.surcharge_usd
            assert len(found.days) == 42
            assert fetched_total(vendor, tmp_path, today) == found.total
    for vendor in files.vendors:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{vendor.url}/healthz")


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_clear_line_and_nothing_is_left_running(tmp_path: Path) -> None:
    first, second = (free_port(), free_port())
    files = config.write(DemoOptions(data=tmp_path, ports=Ports(vendors=(first, second))))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", second))
        taken.listen()
        with pytest.raises(VendorFailed, match=f"azure-eu: cannot listen at 127.0.0.1:{second}"):
            Vendors(files.vendors, tmp_path / "logs").__enter__()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{files.vendors[0].url}/healthz")


@pytest.mark.slow
def test_a_vendor_that_cannot_start_says_its_last_words(tmp_path: Path) -> None:
    files = config.write(DemoOptions(data=tmp_path, ports=Ports(vendors=(free_port(), free_port()))))
    files.vendors[0].config.write_text("{}")
    with (
        Vendors(files.vendors, tmp_path / "logs") as vendors,
        pytest.raises(VendorFailed, match="openai-us stopped with"),
    ):
        vendors.wait_ready()
