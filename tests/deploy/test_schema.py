"""Whoever starts with a store that would count spans twice is told so, and does not start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import OperatorError
from deploy.schema import bring_up_to_date, examined, refuse_unfit
from deploy.settings import Settings, read
from sql.credentials import READER, WRITER
from tests.conftest import ROOT, RunningStore

pytestmark = pytest.mark.slow
ENV = {"ACME_KEY": "k" * 32, "OPENAI_API_KEY": "k" * 32}


def config(folder: Path, store: RunningStore, **changes: str) -> Settings:
    """The example, with that server as its store."""
    given = {
        "url": store.url,
        "password": store.password(WRITER),
        "reader_password": store.password(READER),
        **changes,
    }
    lines = (ROOT / "deploy" / "config" / "tollway.example.yaml").read_text("utf-8").splitlines()
    own = "store: {" + ", ".join(f'{name}: "{value}"' for name, value in given.items()) + "}"
    path = folder / "tollway.yaml"
    path.write_text("\n".join(own if line.startswith("store: ") else line for line in lines))
    return read(path, ENV)


@pytest.fixture
def forgetful(store: RunningStore) -> Iterator[RunningStore]:
    """The store, as long as its probe's table remembers no tokens."""
    setting = "ALTER TABLE tollway.probe MODIFY SETTING non_replicated_deduplication_window"
    store.writer.command(f"{setting} = 0")
    yield store
    store.writer.command(f"{setting} = 10000")


def test_a_store_that_deduplicates_passes_everywhere(store: RunningStore, tmp_path: Path) -> None:
    settings = config(tmp_path, store)
    applied = bring_up_to_date(settings)
    assert all(one.startswith("retention of tollway.") for one in applied), "the schema is there"
    assert bring_up_to_date(settings) == []
    refuse_unfit(settings)
    assert examined(settings) == [(store.url, "")]


@pytest.mark.parametrize("who", [bring_up_to_date, refuse_unfit])
def test_a_store_that_does_not_deduplicate_is_refused_with_the_reason(
    forgetful: RunningStore, tmp_path: Path, who: object
) -> None:
    assert callable(who)
    with pytest.raises(
        OperatorError, match=rf"{forgetful.url}: the store is refused: it does not deduplicate: of 3 rows"
    ):
        who(config(tmp_path, forgetful))


def test_doctor_shows_the_reason(forgetful: RunningStore, tmp_path: Path) -> None:
    ((url, reason),) = examined(config(tmp_path, forgetful))
    assert url == forgetful.url
    assert "it does not deduplicate: of 3 rows sent twice under one token it has 6" in reason


def test_a_store_that_is_not_up_yet_keeps_no_collector_from_starting(store: RunningStore, tmp_path: Path) -> None:
    refuse_unfit(config(tmp_path, store, url="http://127.0.0.1:9"))
