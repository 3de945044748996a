"""`tollway replay-spool` on a real store: rows that a mistaken mapping made give way to those of the mended one."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from deploy.cli.replay import replay_spool
from deploy.errors import OperatorError
from sql.migrations import views
from sql.placement import Placement
from tests.collector.emitting import body, keys
from tests.collector.oracle import column, landed
from tests.collector.processes import GATEWAY_TOKEN, RunningCollector, until
from tests.deploy.test_settings import ENV, EXAMPLE
from tests.ports import free_port

pytestmark = pytest.mark.slow

VIEW = "DROP VIEW tollway.landing_to_spans", Placement().statements(views()[1].text)[-1]
Run = Callable[..., Any]


@pytest.fixture
def collector(store: Any, tmp_path: Path) -> Iterator[RunningCollector]:
    """One whose data folder is the store's own."""
    running = RunningCollector(
        folder=store.data_dir / "collector" / tmp_path.name / "collector",
        store_url=store.url,
        secrets_dir=store.data_dir / "secrets",
    )
    running.start()
    yield running
    if running.running:
        running.kill()


@pytest.fixture
def run(store: Any, collector: RunningCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, with --json; what it printed."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    data_dir = collector.folder.parent
    (data_dir / "secrets").symlink_to(store.data_dir / "secrets")
    config = tmp_path / "tollway.yaml"
    text = EXAMPLE.read_text("utf-8").replace("data_dir: ./data", f"data_dir: {data_dir}")
    config.write_text(text.replace("127.0.0.1:8123", store.url.removeprefix("http://")), "utf-8")

    def invoke(capsys: pytest.CaptureFixture[str], **given: Any) -> Any:
        replay_spool(config=config, as_json=True, **given)
        return json.loads(capsys.readouterr().out)

    return invoke


def test_what_a_mistaken_mapping_made_is_made_again_beside_a_running_collector(
    store: Any, collector: RunningCollector, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    mistaken = VIEW[1].replace("('tollway.alias', 300)", "('tollway.aliaz', 300)")
    assert mistaken != VIEW[1]
    for statement in (VIEW[0], mistaken):
        store.writer.command(statement)
    first, second, later = keys(40), keys(30), keys(20)
    collector.post(body(first))
    until(collector.settled, "it landed")
    collector.post(body(second + first[:10]), token="app-token-of-the-tests")
    until(collector.settled, "it landed")
    for statement in VIEW:
        store.writer.command(statement)
    collector.post(body(later))
    until(collector.settled, "it landed")
    books, sent = collector.books(), first + second + later
    twice = Counter(first[:10])
    assert column(store, "alias", first) == {""}
    listed = run(capsys, dry_run=True)
    assert (listed["dry_run"], listed["spans"], len(listed["batches"])) == (True, 100, 3)
    assert column(store, "alias", first) == {""}

    told = run(capsys)

    assert (told["spans"], told["left"], told["already"]) == (100, 0, 0)
    assert landed(store, sent) == Counter(sent) + twice
    assert column(store, "alias", sent) == {"fast"}
    assert column(store, "tenant", second) == {"globex"}
    assert collector.books() == books
    names = column(store, "batch_id", sent)
    assert names == {row["in_the_store_as"] for row in told["batches"]}
    told_of = store.writer.query("SELECT batch_id, sum(spans) FROM tollway.replays GROUP BY batch_id").result_rows
    assert {name: spans for name, spans in told_of if name in names} == {
        row["in_the_store_as"]: row["spans"] for row in told["batches"]
    }
    again = run(capsys)
    assert (again["batches"], again["already"]) == ([], 3)
    collector.kill()
    collector.start()
    collector.post(body(sent))
    until(collector.settled, "the books are closed")
    assert landed(store, sent) == Counter(sent) + twice, "the collector knows them still"


def test_what_is_not_kept_is_told_with_the_way_out(
    store: Any, collector: RunningCollector, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = run(capsys)
    assert (nothing["batches"], nothing["spans"]) == ([], 0)
    collector.post(body(keys(2)))
    until(collector.settled, "it landed")
    with pytest.raises(OperatorError, match="has the batch nowhere: 1 batches are kept, received from"):
        run(capsys, batch=["nowhere"])
    assert run(capsys, since="2020-01-01", until="2020-01-02")["batches"] == []
    replay_config = {"batch": [run(capsys, dry_run=True)["batches"][0]["batch"]]}
    store.writer.command("ALTER TABLE tollway.spans DELETE WHERE batch_id = {b:String} SETTINGS mutations_sync = 2",
                         parameters={"b": replay_config["batch"][0]})  # fmt: skip
    with pytest.raises(typer.Exit):
        run(capsys, **replay_config)
    (left,) = json.loads(capsys.readouterr().out)["batches"]
    assert left["why"] == "the store has 0 of its 2 spans"


def test_a_store_that_is_not_there_is_one_line(
    store: Any, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "tollway.yaml"
    listen = store.url.removeprefix("http://")
    config.write_text(config.read_text("utf-8").replace(listen, f"127.0.0.1:{free_port()}"), "utf-8")
    with pytest.raises(OperatorError, match="does not answer; start it with"):
        run(capsys)


def test_what_was_parked_lands_once_it_is_sent_again_and_its_files_move(
    store: Any, collector: RunningCollector, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, parked=True)["batches"] == []
    sent = keys(3)
    aside = collector.folder / "parked"
    aside.mkdir(exist_ok=True)
    told = {"sender": "gateway", "tenant": None, "rows": 3, "reason": "cannot parse"}
    (aside / "x-1-0.otlp").write_bytes(body(sent))
    (aside / "x-1-0.json").write_text(json.dumps(told), "utf-8")
    (aside / "x-1-1.otlp").write_bytes(b"")
    (aside / "x-1-1.json").write_text(json.dumps(told), "utf-8")
    listed = run(capsys, parked=True, dry_run=True)["batches"]
    assert [(row["batch"], row["why"]) for row in listed] == [("x-1-0", "cannot parse"), ("x-1-1", "cannot parse")]
    secret = collector.folder.parent / "secrets" / "otlp-gateway"
    secret.unlink(missing_ok=True)
    secret.write_text(GATEWAY_TOKEN, "utf-8")
    secret.chmod(0o600)
    config = tmp_path / "tollway.yaml"
    text = config.read_text("utf-8").replace("127.0.0.1:4318", f"127.0.0.1:{collector.port}")
    config.write_text(text, "utf-8")
    with pytest.raises(typer.Exit):
        run(capsys, parked=True)
    rows = json.loads(capsys.readouterr().out)["batches"]
    assert [row["why"] for row in rows] == ["sent again", "its bytes are lost: its sender has to send it again"]
    until(collector.settled, "it landed")
    assert landed(store, sent) == Counter(sent)
    assert sorted(path.name for path in (aside / "landed").iterdir()) == ["x-1-0.json", "x-1-0.otlp"]
    secret.unlink()
