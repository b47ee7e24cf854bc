"""The one vocabulary of events."""

from __future__ import annotations

import re

import pytest

from contracts import events
from contracts.events import Event, Part, mask, record, timestamp


def test_every_event_is_in_the_vocabulary_under_its_own_name() -> None:
    defined = [value for value in vars(events).values() if isinstance(value, Event)]
    assert {event.name for event in defined} == set(events.VOCABULARY)
    assert len(defined) == len(events.VOCABULARY)
    assert all(str(event) == name for name, event in events.VOCABULARY.items())
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name) for name in events.VOCABULARY)


def test_no_event_has_a_field_that_every_line_has_already() -> None:
    for event in events.VOCABULARY.values():
        assert not event.fields & {"event", "at", "part", "call_sid"}


def test_a_name_cannot_be_defined_twice() -> None:
    with pytest.raises(AssertionError):
        events._event("call.received")
    assert events._event("call.received.again", "a").fields == {"a"}


def test_a_line_has_the_four_common_fields_and_its_own_and_leaves_out_what_is_not_known() -> None:
    line = record(events.BARGE_IN, part=Part.RELAY, now=0.5, call_sid="CA1", item_id="i", heard_ms=5, sent_ms=None)
    assert line == {
        "event": "barge_in",
        "at": "1970-01-01T00:00:00.500Z",
        "part": "relay",
        "call_sid": "CA1",
        "item_id": "i",
        "heard_ms": 5,
    }


def test_a_field_that_the_event_has_not_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        record(events.BARGE_IN, part=Part.RELAY, now=0.0, number="+15550100001")


def test_a_time_is_utc_with_milliseconds() -> None:
    assert timestamp(1_795_341_600.1234) == "2026-11-22T10:00:00.123Z"


def test_S13_a_number_is_masked_and_a_short_one_wholly() -> None:
    assert mask("+15550100042") == "***42"
    assert {mask(short) for short in ("", "911", "123456")} == {"***"}
