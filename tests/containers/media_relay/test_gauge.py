"""The gauge that autoscaling follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay.gauge import (
    MOST_VALUES,
    PERIOD,
    SAMPLE_SECONDS,
    Measures,
    Waits,
    keep_publishing,
    line,
    wait,
    watch_lag,
)
from contracts import events
from contracts.metrics import Metric
from tests.containers.media_relay.house import house


@dataclass
class Door:
    live_calls: int = 0
    draining: bool = False


def test_a_line_is_a_metric_in_the_embedded_format() -> None:
    assert line(3, {}, draining=False, now=1_795_341_600.1234, tasks=9) == {
        "_aws": {
            "Timestamp": 1_795_341_600_123,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Patchthrough",
                    "Dimensions": [["service"]],
                    "Metrics": [{"Name": "ActiveCalls", "Unit": "Count", "StorageResolution": 1}],
                }
            ],
        },
        "service": "relay",
        "ActiveCalls": 3,
        "tasks": 9,
    }


def test_a_draining_task_publishes_another_name_and_never_both() -> None:
    draining = line(3, {}, draining=True, now=0.0)
    assert draining["DrainingCalls"] == 3
    assert "ActiveCalls" not in repr(draining)
    assert "DrainingCalls" not in repr(line(3, {}, draining=False, now=0.0))


@given(st.floats(0, 4e9), st.floats(-0.01, 3.0))
def test_each_period_gets_exactly_one_line_also_if_a_timer_is_a_little_early_or_late(now: float, late: float) -> None:
    first = now + wait(now)
    woken = first + late
    second = woken + wait(woken)
    assert second // PERIOD == first // PERIOD + 1
    assert PERIOD / 2 <= wait(now) <= PERIOD * 3 / 2


async def test_a_line_a_period_says_what_is_then_and_the_last_one_when_it_is_over() -> None:
    door, now, lines, measures = Door(), [1000.0], list[dict[str, object]](), Measures()
    measures.add(Metric.FIRST_AUDIO_MS, 0.8)

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        if len(lines) == 1:
            door.live_calls = 2
        if len(lines) == 2:
            door.draining = True
        if len(lines) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_publishing(door, measures, lines.append, lambda: now[0], sleep)
    assert [one.get("ActiveCalls") for one in lines] == [0, 2, None, None]
    assert lines[2]["DrainingCalls"] == 2
    assert {one["tasks"] for one in lines} == {1}
    assert [one["_aws"]["Timestamp"] for one in lines] == [1_015_000, 1_025_000, 1_035_000, 1_045_000]  # type: ignore[index]
    assert [one.get("FirstAudioMs") for one in lines] == [[800], None, None, None]


def test_what_was_measured_stands_in_the_line_in_milliseconds() -> None:
    measured = line(1, {Metric.FIRST_AUDIO_MS: [800, 950], Metric.LOOP_LAG_MS: [3]}, draining=False, now=0.0)
    (directive,) = measured["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    assert directive["Metrics"][1:] == [
        {"Name": "FirstAudioMs", "Unit": "Milliseconds"},
        {"Name": "LoopLagMs", "Unit": "Milliseconds"},
    ]
    assert (measured["FirstAudioMs"], measured["LoopLagMs"]) == ([800, 950], [3])


def test_measures_are_told_once_and_never_more_than_a_line_may_hold() -> None:
    measures = Measures()
    for _ in range(MOST_VALUES + 1):
        measures.add(Metric.FIRST_AUDIO_MS, 0.5)
    assert measures.taken() == {Metric.FIRST_AUDIO_MS: [500] * MOST_VALUES}
    assert measures.taken() == {}


@given(st.lists(st.floats(0, 10), min_size=1))
def test_of_the_lag_only_the_worst_counts(lags: list[float]) -> None:
    measures = Measures()
    for lag in lags:
        measures.worst(Metric.LOOP_LAG_MS, lag)
    assert measures.taken() == {Metric.LOOP_LAG_MS: [round(max(lags) * 1000)]}


def test_first_audio_is_from_the_streams_start_to_the_agents_first_sound_whoever_speaks_before() -> None:
    measures = Measures()
    waits = Waits(measures)
    waits.note(events.RESPONSE_AUDIO, 9.0)  # before the start there is nobody who waits
    waits.note(events.STREAM_STARTED, 10.0)
    waits.note(events.SPEECH_STOPPED, 10.5)
    waits.note(events.RESPONSE_AUDIO, 11.2)
    assert measures.taken() == {Metric.FIRST_AUDIO_MS: [1200]}


def test_a_turn_is_from_the_callers_last_word_to_the_agents_first() -> None:
    measures = Measures()
    waits = Waits(measures)
    waits.note(events.STREAM_STARTED, 0.0)
    waits.note(events.RESPONSE_AUDIO, 1.0)
    waits.note(events.SPEECH_STOPPED, 5.0)
    waits.note(events.SPEECH_STOPPED, 6.0)  # there was more to say
    waits.note(events.RESPONSE_AUDIO, 6.7)
    waits.note(events.RESPONSE_AUDIO, 8.0)  # the agent goes on; nobody waited for that
    assert measures.taken() == {Metric.FIRST_AUDIO_MS: [1000], Metric.TURN_LATENCY_MS: [700]}


class Clock:
    """An event loop's clock and timer, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: tuple[float, Callable[[], object]] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Any:
        self.due = when, callback

    def pass_until_due(self, late: float) -> None:
        assert self.due
        when, callback = self.due
        self.now = when + late
        callback()


def test_lag_is_how_late_the_loop_calls_back() -> None:
    clock, measures = Clock(), Measures()
    watch_lag(clock, measures)
    assert clock.due
    assert clock.due[0] == 100.0 + SAMPLE_SECONDS
    for late in (0.001, 0.072, -0.0005):
        clock.pass_until_due(late)
    assert measures.taken() == {Metric.LOOP_LAG_MS: [72]}
    clock.pass_until_due(0.0)
    assert measures.taken() == {Metric.LOOP_LAG_MS: [0]}


async def test_a_loop_that_works_for_long_is_seen_to_lag() -> None:
    loop, measures = asyncio.get_running_loop(), Measures()
    watch_lag(loop, measures)
    called_after = asyncio.Event()
    blocked_until = loop.time() + SAMPLE_SECONDS + 0.05
    loop.call_at(blocked_until, called_after.set)
    while loop.time() < blocked_until:
        pass
    async with asyncio.timeout(10):
        await called_after.wait()
    assert measures.taken()[Metric.LOOP_LAG_MS][0] >= 50


async def test_a_call_tells_how_long_its_caller_waited_for_the_first_words() -> None:
    async with house() as home:
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("media")
        await home.empty()
        measured = home.server._settings.measures.taken()
        assert list(measured) == [Metric.FIRST_AUDIO_MS]
        assert len(measured[Metric.FIRST_AUDIO_MS]) == 1
