"""A few calls side by side; `python -m tests.fuzz.marks` is ten times two hundred."""

from __future__ import annotations

from collections import deque

import pytest

from containers.media_relay.ladder import Ladder
from tests.fuzz.marks import Tally, octets, run, words

FAST = 0.02


async def test_S23_of_calls_that_drop_and_return_none_hears_an_octet_of_another() -> None:
    tally = await run(24, seed=1, pace=FAST)
    assert (tally.foreign, tally.texts, tally.unheard) == (0, 0, 0)
    assert tally.drops >= 10
    assert tally.returns >= 10
    assert tally.own >= 24 * 4000


async def test_S23_what_calls_share_by_mistake_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, shared = Ladder.__init__, deque[str]()

    def share(made: Ladder) -> None:
        begin(made)
        made._kept = shared

    monkeypatch.setattr(Ladder, "__init__", share)
    assert (await run(12, seed=1, pace=FAST)).foreign


def test_S23_octets_and_words_of_another_are_told_from_ones_own() -> None:
    tally = Tally()
    tally.audio(octets(7, 40), 7)
    tally.text(words(7), 7)
    assert (tally.own, tally.foreign, tally.texts) == (160, 0, 0)
    tally.audio(octets(8, 40), 7)
    tally.audio(octets(7, 21) + octets(8, 21), 7)
    tally.text(words(7) + words(8), 7)
    assert (tally.own, tally.foreign, tally.texts) == (160, 328, 1)
