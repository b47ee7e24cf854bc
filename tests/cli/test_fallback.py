from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.fallback import document
from contracts.agent_file import AgentFile


def _agent(language: str = "en", number: str = "+15550100003", ring_seconds: int = 25) -> AgentFile:
    person = {"name": "x", "description": "x", "number": number, "ring_seconds": ring_seconds}
    others = {"name": "y", "description": "y", "number": "+15550100001"}
    return AgentFile.model_validate(
        {
            "persona": "p",
            "greeting": "g",
            "language": language,
            "destinations": {"first": others, "main": person},
            "default_destination": "main",
        }
    )


def test_R33_the_document_speaks_then_dials_the_default_person_then_speaks() -> None:
    response = ET.fromstring(document(_agent()))
    assert [verb.tag for verb in response] == ["Say", "Dial", "Say", "Hangup"]
    dial = response[1]
    assert dial.attrib == {"answerOnBridge": "true", "timeout": "25", "timeLimit": "3600"}
    assert [(noun.tag, noun.text) for noun in dial] == [("Number", "+15550100003")]
    assert "action" not in dial.attrib, "nothing of ours is asked afterwards"


@pytest.mark.parametrize(
    ("language", "spoken"), [("de", "de-DE"), ("fr-CA", "fr-FR"), ("en-GB", "en-US"), ("xx", "en-US")]
)
def test_R33_it_is_spoken_in_the_agents_language_if_twilio_speaks_it(language: str, spoken: str) -> None:
    first, _, last, _ = ET.fromstring(document(_agent(language)))
    assert first.attrib == last.attrib == {"language": spoken}


@given(number=st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), ring_seconds=st.integers(5, 120))
def test_R33_for_every_agent_the_document_rings_its_default_person_within_a_limit(
    number: str, ring_seconds: int
) -> None:
    dial = ET.fromstring(document(_agent(number=number, ring_seconds=ring_seconds)))[1]
    assert dial[0].text == number
    assert dial.attrib["timeout"] == str(ring_seconds)
