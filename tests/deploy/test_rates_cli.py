"""`tollway rates` from a public list to a version of the book, and what the days of a closed card make of it."""

import json
from datetime import date
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from analytics.rollups.plan import mark
from deploy.cli.rates import rates
from deploy.errors import OperatorError
from deploy.settings import read
from gateway.domain import clock
from gateway.domain.card_file import CardFileInvalid, newest
from gateway.domain.rate_card import RateBook
from tests.analytics.recon_builders import card

EXAMPLE = Path(__file__).parents[2] / "deploy" / "config" / "tollway.example.yaml"
MAP = """{"gpt-4.1": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 8e-06}}"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACME_KEY", "a-key-of-enough-length")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    path = tmp_path / "tollway.yaml"
    path.write_text(EXAMPLE.read_text("utf-8"), "utf-8")
    (tmp_path / "map.json").write_text(MAP, "utf-8")
    return path


def run(config: Path, *arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.add_typer(rates, name="rates")
    done = CliRunner().invoke(app, ["rates", *arguments, "--config", str(config)], catch_exceptions=False)
    return done.exit_code, done.stdout


def test_a_price_of_a_public_list_holds_once_it_is_approved_by_name_and_not_before(config: Path) -> None:
    """Only what `diff` showed can be approved; a file that somebody edits is no book any more."""
    assert run(config, "import", "litellm", str(config.parent / "map.json"))[0] == 0
    (config.parent / "none.json").write_text("{}", "utf-8")
    with pytest.raises(OperatorError, match="what waited for approval waits still"):
        run(config, "import", "litellm", str(config.parent / "none.json"))
    told = json.loads(run(config, "diff", "--json")[1])
    changes = {(one["what"], one["class"]): (one["old"], one["new"], one["percent"]) for one in told["changes"]}
    assert changes == {("changed", "input"): ("2", "2.5", "+25.00%"), ("removed", "cache_read"): ("0.5", "none", "")}
    before = read(config).routing().rate_cards
    with pytest.raises(Exception, match="what waits is"):
        run(config, "approve", "0123456789ab", "--by", "ann")
    assert read(config).routing().rate_cards.cards == before.cards
    assert run(config, "approve", told["fingerprint"][:12], "--by", "ann")[0] == 0
    book = read(config).routing().rate_cards
    found = book.in_force(provider="openai", account="a", model="gpt-4.1", at=clock.utc_now())
    assert found is not None
    assert (found.provenance.approved_by, found.provenance.version) == ("ann", 1)
    shown = json.loads(run(config, "show", "openai/gpt-4.1@")[1])
    assert [one["per_million"]["input_uncached"] for one in shown["cards"]] == ["2", "2.5"]
    assert "openai/gpt-4.1\t" in run(config, "list")[1]
    path = config.parent / "data" / "rates" / "rates-000001.json"
    path.write_text(path.read_text("utf-8").replace('"2.5"', '"0.1"'), "utf-8")
    with pytest.raises(CardFileInvalid):
        newest(path.parent)


def test_a_card_that_is_closed_rates_anew_the_day_of_its_end_and_none_before() -> None:
    open_, closed = RateBook([card()]).cards, RateBook([card(until="2026-11-20T09:30")]).cards
    assert mark(open_, date(2026, 11, 19)) == mark(closed, date(2026, 11, 19))
    assert mark(open_, date(2026, 11, 20)) != mark(closed, date(2026, 11, 20))
