"""What the vendor charges, by how a request ended: real connections, cut at chosen moments."""

import json
import signal
import socket
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.deploy.demo.vendor_process import KEY, RunningVendor, launch

pytestmark = pytest.mark.slow

SLOW = {"first_token_s": 0.05, "per_1000_uncached_s": 0, "token_s": 0.02}


def send(vendor: RunningVendor, request_id: str, *, stream: bool, words: int = 200, prompt: int = 10) -> socket.socket:
    """Ask on a connection of its own and leave the answer unread."""
    body = json.dumps(
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "word " * prompt}],
            "max_tokens": words,
            "stream": stream,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: vendor\r\n"
        f"authorization: Bearer {KEY}\r\nx-client-request-id: {request_id}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(vendor.address, timeout=20)
    connection.sendall(head.encode() + body)
    return connection


def read_until(connection: socket.socket, mark: bytes, times: int = 1) -> bytes:
    """What came, up to the piece that holds the mark for that many times; or all, if the vendor closed before."""
    seen = b""
    while seen.count(mark) < times:
        piece = connection.recv(65536)
        if not piece:
            return seen
        seen += piece
    return seen


def read_all(connection: socket.socket) -> bytes:
    return read_until(connection, b"\x00never\x00")


def outcome(row: dict[str, Any]) -> tuple[str, int, int, int]:
    tokens = row["tokens"]
    return row["cause"], tokens["input"], tokens["cached input"], tokens["output"]


def test_a_whole_answer_is_charged_to_the_last_digit(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor()
    with send(vendor, "a", stream=False, words=7, prompt=300) as connection:
        read_until(connection, b'"usage"')
    row = vendor.row("a")
    assert outcome(row) == ("completed", 300, 0, 7)
    billed = {name: Decimal(amount) for name, amount in row["billed"].items()}
    assert billed == {"input": Decimal("0.000045"), "cached input": 0, "output": Decimal("0.0000042")}
    assert row["api_key_id"] == "key_1"
    assert KEY not in vendor.ledger.read_text()


def test_a_stream_that_its_client_cuts_is_charged_for_the_prompt_and_what_was_generated(
    start_vendor: Callable[..., RunningVendor],
) -> None:
    vendor = start_vendor(pace=SLOW)
    with send(vendor, "a", stream=True) as connection:
        seen = read_until(connection, b"data: ", times=6).count(b"data: ") - 1
    cause, uncached, _, output = outcome(vendor.row("a"))
    assert (cause, uncached) == ("client_disconnect", 10)
    assert seen <= output < 60


def test_a_stream_that_its_client_cuts_before_the_first_token_is_free(
    start_vendor: Callable[..., RunningVendor],
) -> None:
    vendor = start_vendor(pace={**SLOW, "first_token_s": 5})
    with send(vendor, "a", stream=True) as connection:
        read_until(connection, b'"role"')
    assert outcome(vendor.row("a")) == ("client_disconnect", 0, 0, 0)


def test_a_client_that_goes_while_a_whole_answer_is_made_pays_the_prompt_and_what_was_made(
    start_vendor: Callable[..., RunningVendor],
) -> None:
    vendor = start_vendor(pace={**SLOW, "first_token_s": 0})
    with send(vendor, "a", stream=False) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    cause, uncached, _, output = outcome(vendor.row("a"))
    assert (cause, uncached) == ("client_disconnect", 10)
    assert 5 <= output < 200


def test_a_stream_that_the_vendor_breaks_after_two_chunks_is_charged_for_two(
    start_vendor: Callable[..., RunningVendor],
) -> None:
    vendor = start_vendor(faults={"break_after_second_chunk": 1})
    with send(vendor, "a", stream=True) as connection:
        received = read_all(connection)
    assert received.count(b"data: ") == 3
    assert not received.endswith(b"0\r\n\r\n")
    assert outcome(vendor.row("a")) == ("stream_broken", 10, 0, 2)


def test_a_stream_that_the_vendor_breaks_before_its_first_token_is_free(
    start_vendor: Callable[..., RunningVendor],
) -> None:
    vendor = start_vendor(faults={"break_before_first_token": 1})
    with send(vendor, "a", stream=True) as connection:
        received = read_all(connection)
    assert received.count(b"data: ") == 1
    assert outcome(vendor.row("a")) == ("stream_broken", 0, 0, 0)


def test_a_client_that_went_first_is_not_a_stream_the_vendor_broke(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor(pace={**SLOW, "token_s": 0.5}, faults={"break_after_second_chunk": 1})
    with send(vendor, "a", stream=True) as connection:
        read_until(connection, b"data: ", times=3)
    assert outcome(vendor.row("a")) == ("client_disconnect", 10, 0, 2)


@pytest.mark.parametrize(("fault", "cause"), [("error", "error"), ("rate_limited", "rate_limited")])
def test_what_was_refused_is_in_the_books_and_free(
    start_vendor: Callable[..., RunningVendor], fault: str, cause: str
) -> None:
    vendor = start_vendor(faults={fault: 1})
    with send(vendor, "a", stream=True) as connection:
        read_until(connection, b"}}")
    assert outcome(vendor.row("a")) == (cause, 0, 0, 0)


def test_a_request_is_in_the_books_as_soon_as_its_head_arrived(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor()
    with socket.create_connection(vendor.address, timeout=20) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: v\r\nx-client-request-id: a\r\ncontent-length: 9\r\n\r\n"
        )
        while not (rows := vendor.rows()):
            pass
        assert rows[0]["cause"] == "received"
    assert outcome(vendor.row("a")) == ("client_disconnect", 0, 0, 0)


def test_a_slow_first_token_is_only_slow(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor(faults={"slow_first_token": 1, "slow_first_token_s": 0.2})
    with send(vendor, "a", stream=True, words=3) as connection:
        assert read_all_events(connection) == 6
    assert outcome(vendor.row("a")) == ("completed", 10, 0, 3)


def read_all_events(connection: socket.socket) -> int:
    return read_until(connection, b"[DONE]").count(b"data: ")


def test_the_books_survive_the_vendors_own_kill(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor(pace=SLOW)
    with send(vendor, "done", stream=False, words=1) as connection:
        read_until(connection, b'"usage"')
    with send(vendor, "open", stream=True) as connection:
        read_until(connection, b"data: ", times=4)
        vendor.process.send_signal(signal.SIGKILL)
        vendor.kill()
    with vendor.ledger.open("ab") as torn:
        torn.write(b'{"number": 7, "requ')
    again = launch(vendor.config, vendor.ledger)
    try:
        assert outcome(again.row("done")) == ("completed", 10, 0, 1)
        assert outcome(again.row("open")) == ("stream_broken", 0, 0, 0)
        with send(again, "new", stream=False, words=1) as connection:
            read_until(connection, b'"usage"')
        assert again.row("new")["number"] == 2
    finally:
        again.kill()


def test_the_exports_and_the_ledger_have_the_same_totals(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor(billing={"surcharge_share": "0.1", "surcharge_least": "0.0001"})
    for name, words in (("a", 3), ("b", 11), ("c", 5)):
        with send(vendor, name, stream=False, words=words, prompt=130) as connection:
            read_until(connection, b'"usage"')
    summary = vendor.get("/_witness/summary").json()
    rows = vendor.rows()
    exact = sum(Decimal(amount) for row in rows for amount in row["billed"].values())
    assert Decimal(summary["exact_usd"]) == exact
    parts = (summary["exact_usd"], summary["rounding_usd"], summary["surcharge_usd"])
    assert sum(map(Decimal, parts)) == Decimal(summary["invoiced_usd"])
    assert Decimal(summary["surcharge_usd"]) == Decimal("0.0001")

    day = rows[0]["received_at"][:10]
    midnight = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
    csv_lines = vendor.get(f"/export/cost.csv?from={day}&to=2100-01-01").text.splitlines()
    amounts = [Decimal(fields[4]) for line in csv_lines[1:] if (fields := line.split(","))[4]]
    page = json.loads(
        vendor.get(f"/v1/organization/costs?start_time={midnight}&group_by=line_item").text, parse_float=Decimal
    )
    assert page["has_more"] is False
    results = [result for bucket in page["data"] for result in bucket["results"]]
    assert sum(amounts) == Decimal(summary["invoiced_usd"])
    assert sum(result["amount"]["value"] for result in results) == Decimal(summary["invoiced_usd"])
    assert {r["line_item"]: r["quantity"] for r in results} == {
        "gpt-4o-mini-2024-07-18, input": 134,
        "gpt-4o-mini-2024-07-18, cached input": 256,
        "gpt-4o-mini-2024-07-18, output": 19,
    }
