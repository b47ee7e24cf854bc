"""Whether the agent said that it connects the caller now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import detectors
from containers.media_relay.promises import Promises, called_off
from tests.containers.media_relay.test_wording import HOSTILE

NAMES = {"billing": "the billing team", "reception": "our reception"}
PROMISES = Promises(NAMES, "reception")


@pytest.mark.parametrize("judged", [one for one in detectors.judge("development") if one.sentence.detector == "agent"])
def test_every_sentence_the_rules_were_built_on_is_understood(judged: detectors.Judged) -> None:
    assert (judged.found is None) == (judged.sentence.wanted is None), judged.sentence.text


def test_a_promise_leads_where_it_says_or_to_the_default() -> None:
    assert PROMISES.made("Of course. I'm connecting you with the billing team now.") == "billing"
    assert PROMISES.made("Of course. I'm connecting you now.") == "reception"
    assert PROMISES.made("Of course.") is None


def test_a_promise_after_a_question_is_a_promise() -> None:
    assert PROMISES.made("Would you like me to connect you?") is None
    assert PROMISES.made("Would you like me to connect you? Okay, I'll connect you now.") == "reception"


@pytest.mark.parametrize("answer", ["No, wait!", "Don't do that.", "Nein, warten Sie.", "Espere, por favor.", "Stop."])
def test_a_caller_can_call_a_promise_off(answer: str) -> None:
    assert called_off(answer)


@pytest.mark.parametrize(
    "answer", ["Okay.", "Thank you.", "No problem, I'll hold.", "Ja, danke.", "Vale, gracias.", ""]
)
def test_assent_does_not_call_a_promise_off(answer: str) -> None:
    assert not called_off(answer)


@given(st.text(max_size=3000))
def test_any_transcript_is_judged(transcript: str) -> None:
    assert PROMISES.made(transcript) in {None, *NAMES}
    assert called_off(transcript) in {True, False}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_transcript_is_judged(text: str) -> None:
    assert PROMISES.made(text) in {None, *NAMES}
