"""A short storm of mutated streams; `python -m tests.fuzz.streams` is the long one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from containers.media_relay import media_streams
from tests.fuzz.streams import storm


async def test_S18_S19_mutated_streams_raise_nothing_leave_nothing_and_disturb_no_call() -> None:
    assert await storm(200, seed=1) == []


async def test_S19_a_decoder_that_raises_once_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    decode, times = media_streams.decode, itertools.count()

    def raise_once(text: bytes) -> Any:
        if next(times) == 20:
            raise KeyError("a fault of our own")
        return decode(text)

    monkeypatch.setattr(media_streams, "decode", raise_once)
    (fault,) = await storm(60, seed=1)
    assert "KeyError" in fault
