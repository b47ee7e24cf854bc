from __future__ import annotations

import json
from typing import Any

import pytest

from simulators import audio
from simulators.model import Call, Faults, Occasion, Prompt, Say
from simulators.model.listening import NOT_UNDERSTOOD, OFFER, ListeningMind, Rule
from simulators.voices import Voice, speak
from tests.simulators.model_peers import Client

Event = dict[str, Any]
QUIET = audio.silence(800)
DIRECTORY = "Whom to connect. billing: the billing team (Invoices); reception: our reception (Everything else)"
TOOLS: list[Event] = [
    {
        "type": "function",
        "name": "transfer_to_person",
        "parameters": {
            "type": "object",
            "properties": {
                "destination": {"type": "string", "enum": ["billing", "reception"], "description": DIRECTORY},
                "summary": {"type": "string"},
            },
        },
    },
    {"type": "function", "name": "end_call", "parameters": {"type": "object", "properties": {}}},
]
GREETING = "Greet the caller now. Say exactly this and nothing else: Thank you for calling Northwind. How can I help?"


@pytest.fixture(scope="module")
def mind() -> ListeningMind:
    return ListeningMind()


def words(mind: ListeningMind, occasion: Occasion, last: str = "", **fields: Any) -> list[str | Call]:
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": last}]}] if last else []
    turn = mind.answer(Prompt(occasion, **{"items": items, "tools": TOOLS, **fields}))
    return [step.text if isinstance(step, Say) else step for step in turn.steps if isinstance(step, (Say, Call))]


@pytest.mark.parametrize(
    ("instructions", "said"),
    [
        (GREETING, "Thank you for calling Northwind. How can I help?"),
        ('Greet the caller with "Good morning, Northwind."', "Good morning, Northwind."),
        (
            "Tell the caller in one sentence that the billing team did not answer, and ask whom to try next.",
            f"I am sorry, the billing team did not answer. {OFFER}",
        ),
        (
            "Say in one short sentence that you are now connecting the caller to our reception. Say nothing else.",
            "I am connecting you to our reception now.",
        ),
        ("Say goodbye to the caller in one short sentence.", "Thank you for calling. Goodbye."),
        ("The line was interrupted. Apologise and carry on.", "I am sorry, we were interrupted. Please go on."),
        ("The caller has said nothing. Ask if they are still there.", "Are you still there?"),
    ],
)
def test_the_instructions_of_a_response_are_followed(mind: ListeningMind, instructions: str, said: str) -> None:
    assert words(mind, Occasion.GREETING, instructions=instructions, session_instructions="Be kind.") == [said]


@pytest.mark.parametrize(
    ("said", "destination", "name"),
    [
        ("I would like to speak to someone in billing.", "billing", "the billing team"),
        ("I want to speak to a human.", "reception", "our reception"),
        ("My power is out.", "reception", "our reception"),  # the tool offers no support: its last choice
    ],
)
def test_a_caller_who_wants_a_person_is_told_so_and_handed_over(
    mind: ListeningMind, said: str, destination: str, name: str
) -> None:
    line, call = words(mind, Occasion.SPEECH, said)
    assert line == f"Of course. I am connecting you to {name} now. One moment, please."
    assert isinstance(call, Call)
    assert call.name == "transfer_to_person"
    assert json.loads(call.arguments) == {"destination": destination, "summary": f"The caller said: {said}"}


def test_without_tools_nothing_is_called(mind: ListeningMind) -> None:
    assert len(words(mind, Occasion.SPEECH, "I want to speak to a human.", tools=[])) == 1


def test_goodbye_ends_the_call(mind: ListeningMind) -> None:
    line, call = words(mind, Occasion.SPEECH, "Thank you, goodbye.")
    assert line == "Thank you for calling. Goodbye."
    assert isinstance(call, Call)
    assert call.name == "end_call"


def test_what_was_not_understood_is_asked_again(mind: ListeningMind) -> None:
    assert words(mind, Occasion.SPEECH, "colourless green ideas") == [NOT_UNDERSTOOD]
    assert words(mind, Occasion.SPEECH) == [NOT_UNDERSTOOD]


def test_keys_reach_it_as_text(mind: ListeningMind) -> None:
    said = words(mind, Occasion.TEXT, "(The caller pressed 47 on the keypad.)")
    assert said == ["You pressed 4 7. How can I help you?"]
    assert len(words(mind, Occasion.TEXT, "When are you open?")) == 1


def test_a_transfer_that_was_not_answered_is_mentioned(mind: ListeningMind) -> None:
    note = "Earlier in this call a transfer was tried: the billing team did not answer. Do not promise it again."
    expected = [f"I am sorry, the billing team did not answer. {OFFER}"]
    assert words(mind, Occasion.GREETING, instructions=note, session_instructions=note) == expected
    assert words(mind, Occasion.TEXT, note) == expected


def test_other_occasions_have_their_own_words(mind: ListeningMind) -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": '{"status": "in progress"}'}
    assert words(mind, Occasion.FUNCTION_OUTPUT, items=[output]) == []
    assert words(mind, Occasion.FUNCTION_OUTPUT, items=[{**output, "output": "error"}])
    assert words(mind, Occasion.IDLE) == ["Are you still there?"]
    assert words(mind, Occasion.GREETING, session_instructions="Be kind.") == ["Hello. How can I help you today?"]


def test_a_scenario_may_bring_its_own_rules() -> None:
    parrot = ListeningMind([Rule(("Where is my parcel?",), "It is on its way.")])
    assert parrot.hear(speak("Where is my parcel?", Voice.CALLER) + QUIET) == "Where is my parcel?"
    assert words(parrot, Occasion.SPEECH, "Where is my parcel?") == ["It is on its way."]


def test_a_whole_conversation_is_spoken_and_understood(mind: ListeningMind) -> None:
    client = Client(mind, faults=Faults())
    client.telephone()
    client("session.update", session={"type": "realtime", "tools": TOOLS, "instructions": "Be kind."})
    client("response.create", response={"instructions": GREETING})
    client.wait(5)
    for said in ("What are your opening hours?", "I would like to speak to someone in billing."):
        client.hears(audio.silence(300) + speak(said, Voice.CALLER) + QUIET)
        client.wait(10)
    transcripts = [event["transcript"] for event in client.of_type("response.output_audio_transcript.done")]
    assert transcripts[0] == "Thank you for calling Northwind. How can I help?"
    assert transcripts[1].startswith("Our offices are open")
    assert "billing team" in transcripts[2]
    (call,) = client.of_type("response.function_call_arguments.done")
    assert json.loads(call["arguments"])["destination"] == "billing"
