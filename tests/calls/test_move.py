"""Acceptance 3 in short: calls that are moved amid a sentence go on at another relay; the whole of it is a command."""

from __future__ import annotations

import os

import pytest

from simulators import audio
from simulators.escalation.mind import voice
from simulators.model import Occasion, Prompt, Say
from simulators.move import FORGETFUL_HZ, GAP_SECONDS, STORY, Moved, Result, Storyteller, run

CALLS = 3
_RESUME = "if your last sentence was broken off, say the rest"


@pytest.mark.timeout(120)
async def test_R14_calls_that_are_moved_amid_a_sentence_go_on_with_their_memory() -> None:
    result = await run(os.environ, calls=CALLS, at_once=CALLS, drain_seconds=1)
    assert result.went_on == len(result.calls) == CALLS, result.summary()
    assert 0 < result.gap(1.0) <= GAP_SECONDS, result.summary()


def said(mind: Storyteller, *turns: tuple[str, str]) -> Say:
    items = [{"role": role, "content": [{"text": text}]} for role, text in turns]
    (step,) = mind.answer(Prompt(Occasion.OTHER, items, _RESUME)).steps
    assert isinstance(step, Say)
    return step


def test_the_story_goes_on_for_an_agent_that_remembers_and_no_other() -> None:
    """The control of the command: an agent that lacks either memory sounds different."""
    mind = Storyteller()
    number, begun = ("user", "My number is 500."), ("assistant", f"{STORY[0]} {STORY[1]} …")
    assert said(mind, number, begun).text == " ".join(STORY[2:])
    forgetful = audio.tone([FORGETFUL_HZ], 2000, -20)
    for turns in [(begun,), (number,), (number, ("assistant", "Something else …"))]:
        assert said(mind, *turns).sound == forgetful
    assert voice() != forgetful


def test_the_numbers_of_a_run() -> None:
    calls = tuple(Moved(f"CA{n}", n / 100, went_on=True) for n in range(1, 101))
    result = Result(calls)
    assert (result.gap(0.5), result.gap(0.99), result.gap(1.0)) == (0.5, 0.99, 1.0)
    assert result.reached
    assert not Result(()).reached
    assert not Result((*calls, Moved("CA", 1.0, went_on=False))).reached
    assert not Result(tuple(Moved("CA", GAP_SECONDS + 0.1, went_on=True) for _ in calls)).reached
