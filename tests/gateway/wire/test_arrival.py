"""What a request's headers say that we decide by."""

import re

import pytest

from gateway.config import Tenant
from gateway.domain.ids import SpanId, TraceId
from gateway.wire.arrival import Arrival

TRACE, SPAN = TraceId("a" * 32), SpanId("b" * 16)


def arrival(tenant: str = "acme", **named: str) -> Arrival:
    headers = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named.items()]
    owner = Tenant(name=tenant, keys=("k" * 16,))
    return Arrival(owner, headers, dict(headers), b"", 0)


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_trace_is_joined_whatever_its_flags_say(flags: str) -> None:
    assert arrival(traceparent=f"00-{TRACE}-{SPAN}-{flags}").trace() == (TRACE, SPAN)


@pytest.mark.parametrize(
    "bad",
    ["", "x", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}"],
)
def test_a_traceparent_that_is_none_starts_a_trace_of_our_own(bad: str) -> None:
    trace, span = arrival(traceparent=bad).trace()
    assert re.fullmatch(r"[0-9a-f]{32}", trace)
    assert trace != "0" * 32
    assert span == ""


def test_the_clients_request_id_is_kept_if_it_fits_a_header() -> None:
    assert arrival(x_request_id="abc-123").request_id(TRACE, SPAN) == "abc-123"
    assert arrival(x_request_id="a" * 129).request_id(TRACE, SPAN).startswith("req_")
    assert arrival(x_request_id="a b").request_id(TRACE, SPAN).startswith("req_")
    assert arrival(x_request_id="caf\xe9").request_id(TRACE, SPAN).startswith("req_")
    assert arrival().request_id(TRACE, SPAN) == "req_" + "a" * 8 + SPAN
    assert arrival(x_request_id="").request_id(TRACE, SPAN).startswith("req_")


def test_a_session_is_a_hash_that_means_nothing_to_another_tenant() -> None:
    session = arrival(x_tollway_session="s1").session()
    assert re.fullmatch(r"[0-9a-f]{32}", session)
    assert session == arrival(x_tollway_session="s1").session()
    assert session != arrival(x_tollway_session="s2").session()
    assert session != arrival(tenant="globex", x_tollway_session="s1").session()
    assert arrival().session() == ""
