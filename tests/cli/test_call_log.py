from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import call_log
from cli.call_log import event_in, merged
from cli.errors import CommandError

SID = "CA" + "a1" * 16
OTHER = "CA" + "b2" * 16


def event(name: str, at: str, sid: str = SID, **fields: Any) -> dict[str, Any]:
    return {"event": name, "at": f"2026-11-22T10:00:{at}Z", "part": "relay", "call_sid": sid, **fields}


CALL = event("call.received", "00.000")


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(CALL),
        json.dumps(CALL) + "\n",
        f"2026-11-22T10:00:00.000Z\t8f5d\tINFO\t{json.dumps(CALL)}",
        json.dumps({"timestamp": "2026-11-22T10:00:00Z", "level": "INFO", "message": CALL}),
        json.dumps({"timestamp": "2026-11-22T10:00:00Z", "level": "INFO", "message": json.dumps(CALL)}),
    ],
)
def test_an_event_is_found_however_lambda_wraps_it(line: str) -> None:
    assert event_in(line) == CALL


@pytest.mark.parametrize(
    "line",
    [
        "",
        "START RequestId: 8f5d Version: 3",
        "{not json",
        "[" * 5000 + "{",
        "{" * 5000,
        '{"a":' * 5000,
        json.dumps({"event": "x"}),
        json.dumps({"event": "x", "at": "yesterday"}),
        json.dumps({"event": "x", "at": "2026-11-22T10:00:00"}),
        json.dumps({"event": 3, "at": "2026-11-22T10:00:00Z"}),
        json.dumps({"_aws": {}, "ActiveCalls": 3}),
        json.dumps({"message": "a caller said {hello}"}),
        json.dumps({"message": {"message": {"message": {"message": CALL}}}}),
    ],
)
def test_a_foreign_line_is_left_out(line: str) -> None:
    assert event_in(line) is None


@given(st.text())
def test_no_line_breaks_the_reading(line: str) -> None:
    event_in(line)
    event_in("{" + line)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["event", "at", "message", "call_sid", "x"]), inner, max_size=4)
        ),
    )
)
def test_whatever_json_a_line_holds_what_comes_out_can_be_put_in_order(content: Any) -> None:
    lines = [json.dumps(content), json.dumps(CALL)]
    assert CALL in merged(lines)


@given(st.permutations([event("a", f"0{second}.{second}00") for second in range(6)]))
def test_lines_of_all_parts_are_merged_by_time_whatever_order_they_come_in(lines: list[dict[str, Any]]) -> None:
    found = merged(json.dumps(line) for line in lines)
    assert [line["at"] for line in found] == sorted(line["at"] for line in lines)


def test_events_of_other_calls_are_left_out() -> None:
    lines = [json.dumps(event("a", "01.000")), json.dumps(event("b", "02.000", OTHER, mentions=SID))]
    assert [line["event"] for line in merged(lines, SID)] == ["a"]
    assert list(call_log.by_call(merged(lines))) == [SID, OTHER]


@pytest.mark.parametrize("text", ["", "CA", SID.upper(), SID + "0", "MZ" + "a1" * 16, f"{SID}\n", "CA" + "g" * 32])
def test_what_is_no_call_sid_is_refused_before_anything_is_asked(text: str) -> None:
    with pytest.raises(CommandError, match="not a call SID"):
        call_log.call_sid(text)


@given(st.integers(1, 999999), st.sampled_from("mhd"))
def test_spans_are_read(number: int, unit: str) -> None:
    minutes = {"m": 1, "h": 60, "d": 1440}[unit]
    assert call_log.span(f"{number}{unit}") == timedelta(minutes=number * minutes)


@pytest.mark.parametrize("text", ["", "0h", "1", "h", "-1h", "1w", "1.5h", "9999999d", "1h "])
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match="span of time"):
        call_log.span(text)
