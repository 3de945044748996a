"""Lands one sealed batch of spans: OTLP bytes in, rows in `tollway.spans`, decoded by ClickHouse itself.

One call is one insert of one block into one partition, so the batch is stored whole or not at all. An error after the
bytes were sent leaves the outcome unknown: repeat with the same token until a definite answer, and read back by batch
id (collector_count_batch.sql) before a new token is spent. Nothing here retries, and nothing walks the spans.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import DataError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@dataclass(frozen=True, slots=True)
class Way:
    """A landing table, and the file of the message that it mirrors."""

    table: str
    message: str

    @property
    def schema(self) -> str:
        """The trimmed OTLP message."""
        return _schema(self.message)


ANYBODY = Way("tollway.landing", "otlp.proto")
GATEWAY = Way("tollway.gateway_landing", "gateway.proto")
"""Only for what a gateway wrote, in its own scope and by its own token; other spans would lose what is theirs."""

SETTINGS: dict[str, str | int] = {
    "format_schema_source": "string",
    "format_schema_message_name": "Export",
    "async_insert": 0,
    "wait_end_of_query": 1,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "materialized_views_ignore_errors": 0,
    "parallel_view_processing": 0,
    "optimize_on_insert": 0,
    "max_insert_threads": 1,
    "max_block_size": 1_000_000,
    "max_insert_block_size": 1_000_000,
    "min_insert_block_size_rows": 1_000_000,
    "min_insert_block_size_bytes": 0,
    "max_partitions_per_insert_block": 1,
    "max_execution_time": 0,
    "session_timezone": "UTC",
}
"""What every landing insert says out loud, whatever the server's defaults are."""
WHERE_KNOWN: dict[str, str | int] = {
    "deduplicate_insert": "enable",
    "compile_expressions": 0,
    "optimize_and_compare_chain": 0,
    "query_plan_enable_optimizations": 0,
}
"""Said where the server knows them: the first replaces `insert_deduplicate` from 26.x on; the others halve what a small
batch costs, most of which is the engine's planning of the view: it has one way to run, and nothing to gain."""

QUORUM_SETTINGS: dict[str, str | int] = {"insert_quorum_parallel": 1, "insert_quorum_timeout": 120_000}
"""Batches do not wait for each other's quorum; milliseconds, below what a writing client waits for an answer."""


@cache
def _schema(message: str) -> str:
    return files("sql").joinpath("schema", message).read_text("utf-8")


def insert(
    client: "Client",
    payload: bytes,
    *,
    batch_id: str,
    sender: str,
    tenant: str,
    received_at_ms: int,
    token: str,
    query_id: str,
    quorum: str = "",
    own: bool = False,
) -> None:
    """Store the spans of `payload`, serialised ExportTraceServiceRequests joined end to end.

    `tenant` is the one the sender is bound to, "" when its spans may name theirs; `received_at_ms` is Unix milliseconds
    and chooses the partition; `quorum` is how many replicas must have the batch before it counts as taken ("auto" =
    most, "" = this server alone); `own` spans are a gateway's, all in its scope and nothing beside them: they land by a
    shorter way, as the same rows. A token already seen within the window stores nothing and does not say so. Raises
    clickhouse_connect's DatabaseError with a `code` for a definite refusal, without one when the outcome is unknown.
    """
    way = GATEWAY if own and not tenant else ANYBODY
    spans = payload if way is GATEWAY else only_spans(payload)
    client.raw_insert(
        way.table,
        insert_block=spans + stamp(batch_id=batch_id, sender=sender, tenant=tenant, received_at_ms=received_at_ms),
        fmt="ProtobufSingle",
        settings=settings(client, schema=way.schema, token=token, quorum=quorum) | {"query_id": query_id},
    )


def settings(client: "Client", *, schema: str, token: str, quorum: str) -> dict[str, str | int]:
    """All that an insert of protobuf says: the settings above, the message it is decoded by, and its token."""
    known = {name: value for name, value in WHERE_KNOWN.items() if name in client.server_settings}
    replicas = {"insert_quorum": quorum, **QUORUM_SETTINGS} if quorum else {}
    return {**SETTINGS, **known, **replicas, "format_schema": schema, "insert_deduplication_token": token}


def only_spans(payload: bytes) -> bytes:
    """The payload with nothing at its top level but resource_spans.

    ClickHouse empties a text field that is given twice, so a sender that stamped its own request would escape the
    tenant it is bound to: what is not field 1 is dropped, as a reader drops fields it does not know. Raises DataError
    (code 33, CANNOT_READ_ALL_DATA) for bytes that are not a protobuf message.
    """
    kept: list[memoryview] = []
    view, at, size = memoryview(payload), 0, len(payload)
    while at < size:
        start = at
        key, at = _read_varint(payload, at)
        match key & 7:
            case 0:
                _, at = _read_varint(payload, at)
            case 1:
                at += 8
            case 2:
                length, at = _read_varint(payload, at)
                at += length
            case 5:
                at += 4
            case _:
                at = size + 1
        if at > size or key < 8:
            raise DataError("the payload is not a whole OTLP request", code=33)
        if key == 0x0A:
            kept.append(view[start:at])
    return payload if sum(map(len, kept)) == size else b"".join(kept)


def stamp(*, batch_id: str, sender: str, tenant: str, received_at_ms: int) -> bytes:
    """The four fields behind the spans. `only_spans` sees to it that the payload has none of its own."""
    if received_at_ms < 0:
        raise ValueError(f"received_at_ms is {received_at_ms}, before 1970")
    texts = ((50001, batch_id), (50002, sender), (50003, tenant))
    stamped = b"".join(_text(number, value.encode()) for number, value in texts)
    return stamped + _varint(50004 << 3) + _varint(received_at_ms)


def _text(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, len(data) + 1
