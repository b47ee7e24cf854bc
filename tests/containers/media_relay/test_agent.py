"""What the model is told."""

from __future__ import annotations

from openai.types.realtime import RealtimeSessionCreateRequest

from containers.media_relay import agent
from containers.media_relay.agent import Past
from containers.media_relay.realtime import CreateItem
from contracts.agent_file import SemanticVad
from contracts.handoff import Attempt, Transfer
from contracts.transfer import Outcome, Reason, TransferRequest
from tests.containers.media_relay.worlds import AGENT_FILE, CALL_SID, WALL, brief


def test_the_settings_are_those_of_the_public_types_with_mu_law_both_ways() -> None:
    for file in (
        AGENT_FILE,
        AGENT_FILE.model_copy(update={"turn_detection": SemanticVad(), "model": "gpt-realtime-1.5"}),
    ):
        session = agent.brief(file, Past(), WALL).session
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
    told = brief(Past(attempts=(attempt(Outcome.BUSY),), visit=2))
    assert "+1555" not in repr((told.session, told.replay, told.opening))
    assert "+1555" in repr(told.directory)  # the control: there are numbers to be seen


def test_the_first_visit_greets_with_the_words_of_the_file() -> None:
    assert AGENT_FILE.greeting in brief().opening
    assert brief().replay == ()


def test_a_return_after_a_loss_apologises_and_brings_the_conversation_back() -> None:
    returned = brief(Past((("caller", "My bill is wrong"), ("agent", "Let me see")), visit=2))
    assert returned.replay == (CreateItem("user", "My bill is wrong"), CreateItem("assistant", "Let me see"))
    assert "interrupted" in returned.opening


def attempt(outcome: Outcome, destination: str = "billing") -> Attempt:
    return Attempt("r", destination, "webhook", 0.0, outcome)


def test_a_return_after_a_transfer_says_what_was_tried_for_every_outcome() -> None:
    for outcome in Outcome:
        returned = brief(Past(attempts=(attempt(Outcome.BUSY, "support"), attempt(outcome)), visit=2))
        assert "the billing team" in returned.opening
        assert ("because the billing team" in returned.opening) == (outcome is not Outcome.BRIDGED)
        assert "technical support was busy" in returned.session["instructions"]
    assert "because nobody" in brief(Past(attempts=(attempt(Outcome.BUSY, "no longer listed"),))).opening


def test_a_return_after_a_loss_does_not_tell_of_a_transfer_again() -> None:
    lost = Past(attempts=(attempt(Outcome.BUSY),), visit=3, after_loss=True)
    assert brief(lost).opening == agent.INTERRUPTED
    assert "the billing team was busy" in brief(lost).session["instructions"]


def test_a_return_while_a_person_is_called_says_so() -> None:
    request = TransferRequest.create(call_sid=CALL_SID, destination="billing", reason=Reason.CALLER_ASKED, now=WALL)
    assert "the billing team is being called" in brief(Past(visit=2, calling=Transfer(request))).opening
