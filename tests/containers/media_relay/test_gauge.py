"""The gauge that autoscaling follows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay.gauge import PERIOD, keep_publishing, line, wait


@dataclass
class Door:
    live_calls: int = 0
    draining: bool = False


def test_a_line_is_a_metric_in_the_embedded_format() -> None:
    assert line(3, draining=False, now=1_795_341_600.1234) == {
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
    }


def test_a_draining_task_publishes_another_name_and_never_both() -> None:
    draining = line(3, draining=True, now=0.0)
    assert draining["DrainingCalls"] == 3
    assert "ActiveCalls" not in repr(draining)
    assert "DrainingCalls" not in repr(line(3, draining=False, now=0.0))


@given(st.floats(0, 4e9), st.floats(-0.01, 3.0))
def test_each_period_gets_exactly_one_line_also_if_a_timer_is_a_little_early_or_late(now: float, late: float) -> None:
    first = now + wait(now)
    woken = first + late
    second = woken + wait(woken)
    assert second // PERIOD == first // PERIOD + 1
    assert PERIOD / 2 <= wait(now) <= PERIOD * 3 / 2


async def test_a_line_a_period_says_what_is_then() -> None:
    door, now, lines = Door(), [1000.0], list[dict[str, object]]()

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        if len(lines) == 1:
            door.live_calls = 2
        if len(lines) == 2:
            door.draining = True
        if len(lines) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_publishing(door, lines.append, lambda: now[0], sleep)
    assert [one.get("ActiveCalls") for one in lines] == [0, 2, None]
    assert lines[2]["DrainingCalls"] == 2
    assert [one["_aws"]["Timestamp"] for one in lines] == [1_015_000, 1_025_000, 1_035_000]  # type: ignore[index]
