from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.transfer import MAX_BYTES, SUMMARY_CHARS, MalformedRequest, Reason, TransferRequest, Withdrawal, read

CALL_SID = "CA" + "0f" * 16


def message(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "version": 1,
        "request_id": "9f" * 16,
        "call_sid": CALL_SID,
        "destination": "billing",
        "reason": "caller_asked",
        "summary": "Invoice 4711 was charged twice.",
        "requested_at": "2026-11-22T10:00:00Z",
    }
    return json.dumps({name: value for name, value in (fields | changes).items() if value is not ...})


@given(summary=st.text(alphabet=st.characters(), max_size=2000), reason=st.sampled_from(Reason))
def test_what_is_created_is_read_back_the_same_and_fits_the_queue(summary: str, reason: Reason) -> None:
    request = TransferRequest.create(
        call_sid=CALL_SID, destination="billing", reason=reason, now=1_795_000_000.25, summary=summary
    )
    body = request.to_json()
    assert len(body.encode()) <= MAX_BYTES
    assert len(request.summary) <= SUMMARY_CHARS
    assert TransferRequest.from_json(body) == request
    assert request.asked_at.timestamp() == 1_795_000_000.25


def test_the_message_of_the_design_is_read_and_unknown_fields_are_ignored() -> None:
    request = TransferRequest.from_json(message(number="+15550109999", colour="blue"))
    assert request.destination == "billing"
    assert not hasattr(request, "number")


def test_two_requests_have_two_identities_unless_one_is_given() -> None:
    def make(request_id: str = "") -> TransferRequest:
        return TransferRequest.create(
            call_sid=CALL_SID, destination="a", reason=Reason.TIME_LIMIT, now=0.0, request_id=request_id
        )

    assert make().request_id != make().request_id
    assert make("ab" * 16).request_id == "ab" * 16


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[" * 5000, "not JSON"),
        ('{"version": ' + "1" * 5000 + "}", "not JSON"),
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("x" * (MAX_BYTES + 1), "larger"),
        ("é" * (MAX_BYTES // 2 + 1), "larger"),
        (message(version=2), "version"),
        (message(version=True), "version"),
        (message(version=...), "version"),
        (message(call_sid=...), "call_sid is missing"),
        (message(call_sid="CA" + "0F" * 16), "call_sid"),
        (message(call_sid=CALL_SID + "\n"), "call_sid"),
        (message(request_id="9f"), "request_id"),
        (message(destination="+15550109999"), "destination"),
        (message(destination="Billing"), "destination"),
        (message(destination=["billing"]), "destination"),
        (message(reason="because"), "reason"),
        (message(summary=None), "summary"),
        (message(requested_at="yesterday"), "requested_at"),
        (message(requested_at="2026-11-22T10:00:00"), "offset"),
    ],
)
def test_a_malformed_message_is_refused_and_says_why(body: str, says: str) -> None:
    with pytest.raises(MalformedRequest, match=says):
        TransferRequest.from_json(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.one_of(st.text(), JSON.map(json.dumps), st.dictionaries(st.sampled_from(list(json.loads(message()))), JSON)))
def test_S10_any_body_is_a_request_or_is_refused_with_one_error(body: object) -> None:
    text = body if isinstance(body, str) else message(**dict(body))  # type: ignore[call-overload] # a dictionary then
    try:
        request = TransferRequest.from_json(text)
    except MalformedRequest:
        return
    assert request.call_sid.startswith("CA")


class TestKinds:
    def test_a_message_without_a_kind_asks_for_a_transfer_as_ever(self) -> None:
        request = TransferRequest.create(call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=0.0)
        fields = json.loads(request.to_json())
        assert "kind" not in fields
        assert read(json.dumps(fields | {"kind": "transfer"})) == request

    def test_a_withdrawal_is_read_back_and_is_no_request(self) -> None:
        gone = Withdrawal(CALL_SID, "ab" * 16, 3)
        assert read(gone.to_json()) == gone
        with pytest.raises(MalformedRequest, match="no transfer"):
            TransferRequest.from_json(gone.to_json())

    @pytest.mark.parametrize(
        "changed",
        [
            {"kind": "dial"},
            {"kind": None},
            {"kind": 1},
            {"kind": ["withdraw"]},
            {"hop": -1},
            {"hop": True},
            {"hop": "1"},
            {"hop": 1000},
            {"call_sid": "CA1"},
            {"request_id": "x"},
        ],
    )
    def test_S10_anything_else_is_malformed(self, changed: dict[str, object]) -> None:
        fields = json.loads(Withdrawal(CALL_SID, "ab" * 16, 3).to_json())
        with pytest.raises(MalformedRequest):
            read(json.dumps(fields | changed))
