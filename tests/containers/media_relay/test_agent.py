"""What the model is told."""

from __future__ import annotations

from openai.types.realtime import RealtimeSessionCreateRequest

from containers.media_relay import agent
from containers.media_relay.actions import ToEnd, ToPerson
from containers.media_relay.agent import Attempt, Past
from containers.media_relay.realtime import CreateItem
from contracts.agent_file import SemanticVad
from contracts.transfer import Outcome, Reason
from tests.containers.media_relay.worlds import AGENT_FILE, brief


def test_the_settings_are_those_of_the_public_types_with_mu_law_both_ways() -> None:
    for file in (
        AGENT_FILE,
        AGENT_FILE.model_copy(update={"turn_detection": SemanticVad(), "model": "gpt-realtime-1.5"}),
    ):
        session = agent.brief(file, Past()).session
        parsed = RealtimeSessionCreateRequest.model_validate(session)
        assert parsed.audio is not None
        assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
        assert session["audio"]["input"]["turn_detection"]["interrupt_response"]
        assert ("parallel_tool_calls" in session) == file.model.startswith("gpt-realtime-2")


def test_the_model_sees_keys_and_descriptions_and_never_a_number() -> None:
    session = brief().session
    (transfer, _) = session["tools"]
    assert transfer["parameters"]["properties"]["destination"]["enum"] == [*AGENT_FILE.destinations]
    assert "Invoices" in transfer["parameters"]["properties"]["destination"]["description"]
    assert "+1555" not in repr(brief())


def test_the_first_visit_greets_with_the_words_of_the_file() -> None:
    assert AGENT_FILE.greeting in brief().opening
    assert brief().replay == ()


def test_a_return_after_a_loss_apologises_and_brings_the_conversation_back() -> None:
    returned = brief(Past((("caller", "My bill is wrong"), ("agent", "Let me see")), visit=2))
    assert returned.replay == (CreateItem("user", "My bill is wrong"), CreateItem("assistant", "Let me see"))
    assert "interrupted" in returned.opening


def test_a_return_after_a_transfer_says_what_was_tried_for_every_outcome() -> None:
    for outcome in Outcome:
        returned = brief(Past(attempts=(Attempt("support", "busy"), Attempt("billing", outcome.value)), visit=2))
        assert "because the billing team" in returned.opening
        assert "technical support was busy" in returned.session["instructions"]
    assert "because nobody" in brief(Past(attempts=(Attempt("no longer listed", "busy"),))).opening


def test_the_farewell_names_the_person_or_says_goodbye() -> None:
    assert "our reception" in brief().farewell(ToPerson("reception", Reason.CALLER_ASKED, ""))
    assert "goodbye" in brief().farewell(ToEnd("done"))
