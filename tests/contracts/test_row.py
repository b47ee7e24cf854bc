from __future__ import annotations

from typing import Any

import pytest

from contracts.row import Call, MalformedRow, Row, Status, Stream, Transfer, Turn, from_item, to_item
from contracts.transfer import Reason, TransferRequest

CALL_SID = "CA" + "0" * 32
REQUEST = TransferRequest.create(call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=1.0)
ROW = Row(
    call_sid=CALL_SID,
    call=Call("AC" + "0" * 32, "***99", "+15550100000", "", 1.0),
    stream=Stream(1, "nonce", "digest", 1.0),
    status=Status("in-progress", 3),
    expires_at=100,
    conversation=(Turn("caller", "Billing, please."),),
    transfer=Transfer(REQUEST),
)


def with_news(attribute: dict[str, Any]) -> dict[str, Any]:
    """The attribute as a newer version might write it: every map in it has one more field."""
    ((kind, value),) = attribute.items()
    if kind == "M":
        return {"M": {name: with_news(one) for name, one in value.items()} | {"news": {"S": "of tomorrow"}}}
    return {"L": [with_news(one) for one in value]} if kind == "L" else attribute


def test_a_row_is_read_as_it_was_written() -> None:
    assert from_item(to_item(ROW)) == ROW


def test_a_row_that_a_newer_version_wrote_is_read_without_what_is_new_because_versions_overlap_in_a_deploy() -> None:
    item = {name: with_news(value) for name, value in to_item(ROW).items()} | {"news": {"S": "of tomorrow"}}
    assert from_item(item) == ROW


@pytest.mark.parametrize("name", ["call", "stream", "transfer", "status"])
def test_a_row_that_lacks_what_is_old_is_malformed(name: str) -> None:
    item = to_item(ROW)
    item[name] = {"M": {"news": {"S": "alone"}}}
    with pytest.raises(MalformedRow):
        from_item(item)
