"""Whether a caller asks for a person, and for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import detectors
from containers.media_relay.phrases import Phrases
from containers.media_relay.wording import MOST_CHARACTERS
from tests.containers.media_relay.test_wording import HOSTILE

NAMES = {"billing": "the billing team", "support": "technical support", "reception": "our reception"}
PHRASES = Phrases(NAMES, "reception")
REQUESTS = ["I want to talk to a person.", "Ich möchte mit einem Menschen sprechen.", "Quiero hablar con una persona."]


@pytest.mark.parametrize("judged", [one for one in detectors.judge("development") if one.sentence.detector == "caller"])
def test_every_sentence_the_rules_were_built_on_is_understood(judged: detectors.Judged) -> None:
    assert judged.found == judged.sentence.wanted, judged.sentence.text


def test_a_caller_who_names_nobody_goes_to_the_default() -> None:
    assert [PHRASES.asked_for(request) for request in REQUESTS] == ["reception"] * 3
    assert Phrases(NAMES, "support").asked_for(REQUESTS[0]) == "support"


def test_a_caller_who_names_a_destination_goes_there() -> None:
    assert PHRASES.asked_for("Put me through to billing.") == "billing"
    assert PHRASES.asked_for("I want to talk to someone in technical support") == "support"


def test_phrases_of_the_business_ask_for_a_person_unless_negated() -> None:
    phrases = Phrases(NAMES, "reception", ["beam me up", "Störung melden"])
    assert phrases.asked_for("Oh please beam me up!") == "reception"
    assert phrases.asked_for("Ich will eine Störung melden.") == "reception"
    assert phrases.asked_for("Do not beam me up.") is None
    assert PHRASES.asked_for("Oh please beam me up!") is None


def test_a_caller_may_speak_another_language_than_the_agent_file() -> None:
    assert Phrases({"billing": "die Buchhaltung"}, "billing").asked_for("Can I talk to a human?") == "billing"


@given(st.text(max_size=3000))
def test_any_transcript_is_judged(transcript: str) -> None:
    assert PHRASES.asked_for(transcript) in {None, *NAMES}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_transcript_is_judged(text: str) -> None:
    assert PHRASES.asked_for(text) in {None, *NAMES}


@given(st.text(st.characters(categories=["L", "N", "P", "Z"]), max_size=MOST_CHARACTERS), st.sampled_from(REQUESTS))
def test_a_request_is_found_whatever_was_said_in_the_sentences_before(story: str, request: str) -> None:
    assert PHRASES.asked_for(f"{story}. {request}") is not None


@pytest.mark.parametrize("language", detectors.LANGUAGES)
@pytest.mark.parametrize("detector", detectors.DETECTORS)
def test_on_the_evaluation_set_recall_is_at_least_ninety_percent(detector: str, language: str) -> None:
    mine = [
        one
        for one in detectors.judge("evaluation")
        if (one.sentence.detector, one.sentence.language) == (detector, language)
    ]
    assert detectors.Score.of(mine).recall >= 0.9


def test_on_the_evaluation_set_false_handoffs_are_under_one_percent() -> None:
    judged = detectors.judge("evaluation")
    score = detectors.Score.of(judged)
    assert score.false_rate < 0.01, detectors.errors(judged)
    assert score.precision > 0.95
    everything = [detectors.Judged(one.sentence, "reception") for one in judged]  # a detector that always hands over
    assert detectors.Score.of(everything).false_rate == 1.0


def test_the_evaluation_set_is_large_in_three_languages_and_shares_no_sentence_with_the_development_set() -> None:
    evaluation, _ = detectors.read("evaluation")
    development, _ = detectors.read("development")
    assert len({one.text for one in evaluation}) >= 330
    for language in ("en", "de", "es"):
        assert sum(one.language == language for one in evaluation) >= 100
    shared = {one.text.casefold() for one in evaluation} & {one.text.casefold() for one in development}
    assert not shared


def test_the_page_says_what_the_detectors_do_today() -> None:
    assert detectors.PAGE.read_text(encoding="utf-8") == detectors.page()
