"""The store as a process: it starts quickly, survives SIGKILL, ends cleanly, and says in one line what stops it."""

import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from sql import landing
from sql.credentials import Credentials
from sql.embedded.app import App
from tests.conftest import ROOT
from tests.sql.otlp import attempt, landed, request, span

pytestmark = pytest.mark.slow


def refused_start(*arguments):
    """The exit code and stderr of a store that is expected not to start."""
    done = subprocess.run(
        [sys.executable, "-m", "sql.embedded", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stderr.strip().splitlines()


def land(store, batch_id, spans=3):
    landing.insert(
        store.writer, request(*(span(attempt()) for _ in range(spans))), batch_id=batch_id, sender="gateway", tenant="",
        received_at_ms=1_790_000_000_000, token=batch_id, query_id=batch_id,
    )  # fmt: skip


def test_what_was_answered_survives_sigkill_and_the_folder_opens_again(start_store, tmp_path):
    store = start_store(tmp_path / "data")
    store.migrate()
    for number in range(5):
        land(store, f"batch-{number}")
    writer_password = store.password("tollway")
    store.kill()
    again = start_store(tmp_path / "data")
    assert again.password("tollway") == writer_password
    assert again.migrate() == []
    for number in range(5):
        assert landed(again, f"batch-{number}") == 3
        land(again, f"batch-{number}")
        assert landed(again, f"batch-{number}") == 3


def test_sigkill_in_the_middle_of_inserts_leaves_each_batch_whole_or_absent(start_store, tmp_path):
    store = start_store(tmp_path / "data")
    store.migrate()
    begun, done = [], []
    enough = threading.Event()

    def insert_until_killed():
        for number in range(10_000):
            begun.append(f"batch-{number}")
            try:
                land(store, begun[-1], spans=200)
            except (DatabaseError, OperationalError, OSError):
                enough.set()
                return
            done.append(begun[-1])
            if len(done) == 5:
                enough.set()

    inserting = threading.Thread(target=insert_until_killed)
    inserting.start()
    enough.wait(timeout=120)
    store.kill()
    inserting.join(timeout=120)
    again = start_store(tmp_path / "data")
    counts = {b: landed(again, b) for b in begun}
    assert len(done) >= 5
    assert {counts[b] for b in done} == {200}
    assert set(counts.values()) <= {0, 200}


def test_a_stop_is_clean_and_the_log_holds_no_password_and_no_statement(start_store, tmp_path):
    store = start_store(tmp_path / "data")
    store.reader.query("SELECT 'a statement nobody should log'")
    secrets = [store.password(user) for user in ("tollway", "reader")]
    log = store.log
    assert store.stop() == 0
    assert not [line for line in log if "nobody should log" in line or any(s in line for s in secrets)]


def test_no_password_is_in_the_process_list(store):
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    environment = Path(f"/proc/{store.pid}/environ").read_text() if Path("/proc").exists() else ""
    assert "sql.embedded" in listed
    for user in ("tollway", "reader"):
        assert store.password(user) not in listed + environment


def test_a_taken_port_is_one_line_and_exit_code_one(store, tmp_path):
    taken = store.url.removeprefix("http://")
    code, said = refused_start("--data-dir", str(tmp_path / "data"), "--listen", taken)
    assert (code, said) == (
        1,
        [f"store: {taken} is taken by another process: stop it, or give the store another address"],
    )


def test_a_folder_in_use_is_one_line_that_names_the_process(store):
    code, said = refused_start("--data-dir", str(store.data_dir), "--listen", "127.0.0.1:0")
    assert code == 1
    assert said == [f"store: {store.data_dir}/store is in use by the store process {store.pid}: stop it first"]


def test_a_folder_that_cannot_be_made_and_a_strange_address_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    code, said = refused_start("--data-dir", str(tmp_path / "file"), "--listen", "127.0.0.1:0")
    assert (code, len(said)) == (1, 1)
    code, said = refused_start("--data-dir", str(tmp_path / "data"), "--listen", "192.0.2.1:8123")
    assert (code, len(said)) == (1, 1)
    assert "cannot listen on 192.0.2.1:8123" in said[0]
    assert refused_start("--data-dir", str(tmp_path), "--listen", "nonsense")[0] == 2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            "import shutil; shutil.disk_usage = lambda _: shutil._ntuple_diskusage(2**40, 2**40, 2**20)",
            "is full: 1 MiB",
        ),
        ("import sys; sys.modules['chdb'] = None", "chdb cannot be imported"),
    ],
)
def test_a_full_disk_and_a_missing_engine_are_one_line(tmp_path, fault, says):
    run = f"{fault}; import sys, pathlib; from sql.embedded import run; run(pathlib.Path(sys.argv[1]), '127.0.0.1', 0)"
    done = subprocess.run(
        [sys.executable, "-c", run, str(tmp_path / "data")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert says in done.stderr


def test_nothing_is_written_beside_the_data_folder(start_store, tmp_path):
    store = start_store(tmp_path / "data")
    store.migrate()
    land(store, "one")
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["secrets", "store"]
    assert list((tmp_path / "data" / "store" / "work").glob("__cache__/*.proto")), (
        "the engine's cache has moved: where?"
    )
    assert list((tmp_path / "data" / "store" / "inserts").iterdir()) == []


async def test_before_the_engine_is_open_the_store_is_alive_but_not_ready():
    app = App(Credentials(writer="w" * 32, reader="r" * 32))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://store") as client:
        assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/ping")] == [200, 503, 503]
        answer = await client.post("/", content="SELECT 1", auth=("reader", "r" * 32))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    app.close()
