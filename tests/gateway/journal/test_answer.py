"""The verdict on a collector's answer, as a table."""

from datetime import UTC, datetime

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from gateway.journal.answer import Acknowledged, Again, Refused, Verdict, judge
from tests.gateway.otlp_receiver import partial_success

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "retry_after", "verdict"),
    [
        (200, "", Acknowledged()),
        (400, "", Refused("HTTP 400: no spans")),
        (413, "", Refused("HTTP 413: no spans")),
        (415, "", Refused("HTTP 415: no spans")),
        (401, "", Again("HTTP 401", misconfigured=True)),
        (403, "", Again("HTTP 403", misconfigured=True)),
        (404, "", Again("HTTP 404", misconfigured=True)),
        (307, "", Again("HTTP 307", misconfigured=True)),
        (408, "", Again("HTTP 408")),
        (429, "7", Again("HTTP 429", after_s=7.0)),
        (500, "", Again("HTTP 500")),
        (503, "0.5", Again("HTTP 503", after_s=0.5)),
        (503, "Mon, 23 Nov 2026 12:00:30 GMT", Again("HTTP 503", after_s=30.0)),
        (503, "Mon, 23 Nov 2026 11:00:00 GMT", Again("HTTP 503")),
        (503, "86400", Again("HTTP 503", after_s=300.0)),
        (503, "-5", Again("HTTP 503")),
        (503, "nan", Again("HTTP 503")),
        (503, "soon", Again("HTTP 503")),
    ],
)
def test_each_status_has_its_verdict(status: int, retry_after: str, verdict: Verdict) -> None:
    body = b"" if status == 200 else b"no spans\x00\x1b"
    assert judge(status, retry_after, body, NOW) == verdict


def test_a_partial_success_says_how_many_and_why() -> None:
    assert judge(200, "", partial_success(3, "too old").body, NOW) == Acknowledged(3, "too old")


def test_an_empty_otlp_response_acknowledges_all() -> None:
    assert judge(200, "", ExportTraceServiceResponse().SerializeToString(), NOW) == Acknowledged()


@pytest.mark.parametrize("page", [b"<html>hello</html>", b'{"partialSuccess":{}}'])
def test_a_200_that_is_no_otlp_answer_acknowledges_nothing(page: bytes) -> None:
    verdict = judge(200, "", page, NOW)
    assert isinstance(verdict, Again)
    assert verdict.misconfigured
