"""Whose turn it is, and for how long at most."""

from __future__ import annotations

from containers.media_relay.silence import NEVER, PATIENCE, Turn, Watch


def test_every_turn_has_an_end_except_a_departure_which_has_its_own() -> None:
    assert set(PATIENCE) == set(Turn)
    assert [turn for turn in Turn if Watch.over(turn, 5.0).at == NEVER] == [Turn.DEPARTURE]


def test_a_caller_never_waits_longer_than_eight_seconds_for_a_sound_or_a_person() -> None:
    assert PATIENCE[Turn.AGENT] + PATIENCE[Turn.AGENT_AGAIN] <= 8.0
    assert PATIENCE[Turn.START] <= 3.0
    assert PATIENCE[Turn.MODEL] <= 3.0
