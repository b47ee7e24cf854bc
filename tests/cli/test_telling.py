from __future__ import annotations

import pytest

from cli.telling import ending, told
from contracts.events import CALL_ENDED, FRAMES_DROPPED, TRANSFER_BRIDGED, VOCABULARY


@pytest.mark.parametrize("name", sorted(VOCABULARY))
def test_every_event_is_told_by_its_own_fields_or_not_at_all(name: str) -> None:
    fields = dict.fromkeys(VOCABULARY[name].fields, "value")
    line = told({"event": name, **fields})
    assert line is None or "?" not in line[2].replace("what next?", "")


def test_an_unknown_event_and_a_missing_field_are_no_error() -> None:
    assert told({"event": "moon.landed"}) is None
    assert told({"event": FRAMES_DROPPED.name}) is None
    assert told({"event": CALL_ENDED.name}) == ("■", "bold", "the call has ended: ?, by ?, after ? s")


def test_the_ending_says_how_by_whom_and_with_whom() -> None:
    ended = {"event": CALL_ENDED.name, "reason": "bridged", "by": "person", "seconds": 93.4}
    bridged = {"event": TRANSFER_BRIDGED.name, "destination": "billing"}
    assert ending([bridged, ended]) == (
        "The call has ended: bridged, by person, after 93.4 s; the caller spoke with billing."
    )
    assert ending([ended]).endswith("after 93.4 s.")
    assert ending([bridged]).startswith("Nothing says that it has ended")
