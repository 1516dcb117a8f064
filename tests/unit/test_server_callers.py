"""Callers in headers."""

import httpx2
import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden
from agent_orchestration.core.messages import Principal
from agent_orchestration.server.callers import caller_from_headers, headers_for
from tests.unit.server_fakes import TOKEN, TRACEPARENT


def test_callers_travel_in_headers_unchanged() -> None:
    worker = Caller(
        principal=Principal("wörker", "agent", "agent-1"),
        tenant="acme",
        correlation="c",
        traceparent=TRACEPARENT,
    )
    headers = httpx2.Headers(headers_for(worker, TOKEN))
    assert caller_from_headers(headers, TOKEN) == worker
    with pytest.raises(Forbidden):
        caller_from_headers(headers, None)


def test_a_malformed_traceparent_is_ignored() -> None:
    assert caller_from_headers(httpx2.Headers({"traceparent": "00-x"}), None) == Caller()
