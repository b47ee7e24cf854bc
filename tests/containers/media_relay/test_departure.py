"""How a call leaves the agent."""

from __future__ import annotations

import pytest

from containers.media_relay import realtime
from containers.media_relay.actions import (
    CloseModel,
    Log,
    NoteTransfer,
    QueueTransfer,
    RecordEnd,
    Remember,
    ToEnd,
    ToPerson,
)
from containers.media_relay.departure import ANNOUNCE_SECONDS, GOODBYE_SECONDS, TAKE_AWAY_SECONDS, Departure
from containers.media_relay.silence import NEVER, RING_AFTER
from containers.media_relay.speech import Speech
from contracts import events
from contracts.transfer import Reason
from tests.containers.media_relay.worlds import STREAM_SID, audio

PERSON = ToPerson("billing", Reason.CALLER_ASKED, "")
END = ToEnd("all said")


def speaking(ms: int = 0) -> Speech:
    """A stream's way out, on which the agent has just begun `ms` of speech."""
    speech = Speech()
    speech.stream_sid = STREAM_SID
    if ms:
        speech.responses.created("r")
        speech.say(realtime.AudioDelta("r", "i", audio(ms * 8)), 0.0)
    return speech


@pytest.mark.parametrize(("to", "rings_at"), [(PERSON, 5.0 + RING_AFTER), (END, NEVER)])
def test_a_silent_agent_is_asked_to_announce_and_only_a_person_is_rung_for(
    to: ToPerson | ToEnd, rings_at: float
) -> None:
    speech = speaking()
    created = Departure(to, speech, 5.0).announce("Say goodbye.", 5.0)[-1]
    assert isinstance(created, realtime.CreateResponse)
    assert (created.instructions, created.use_tools) == ("Say goodbye.", False)
    assert speech.ring_at == rings_at


def test_an_agent_that_is_speaking_is_taken_to_announce_already() -> None:
    asked = Departure(PERSON, speaking(ms=1000), 0.0).announce("Say goodbye.", 0.0)
    assert asked == [
        Log(events.HANDOFF_ASKED, {"destination": "billing", "reason": "caller_asked"}),
        NoteTransfer(PERSON),
    ]
    assert Departure(END, speaking(ms=1000), 0.0).announce("Say goodbye.", 0.0) == []


def test_the_line_is_heard_once_it_is_sent_and_plays_no_more() -> None:
    speech = speaking(ms=1000)
    departure = Departure(PERSON, speech, 0.0)
    assert not departure.announced()
    departure.line_sent = True
    assert not departure.announced(), "it still plays"
    speech.cut(0.5)
    assert departure.announced()
    departure.leave("heard", 0.5)
    assert not departure.announced(), "it leaves once"


def test_what_was_said_is_remembered_before_the_request_leaves() -> None:
    speech = speaking()
    speech.memory.caller("billing please")
    departure = Departure(PERSON, speech, 5.0)
    announced, *rest = departure.leave("heard", 6.5)
    assert announced == Log(events.HANDOFF_ANNOUNCED, {"how": "heard", "ms": 1500})
    assert [one for one in rest if not isinstance(one, Remember)] == [QueueTransfer(PERSON), CloseModel()]
    assert speech.ring_at == 6.5
    assert Departure(END, speaking(), 5.0).leave("heard", 6.0) == [RecordEnd("all said"), CloseModel()]


def test_a_caller_whose_person_has_accepted_is_rung_for_only_if_it_takes_long() -> None:
    speech = speaking()
    speech.memory.agent("i", "still trying")
    departure = Departure(PERSON, speech, 5.0)
    assert departure.join(5.0) == [Remember("agent", "still trying"), CloseModel()]
    assert (departure.left, departure.deadline, speech.ring_at) == (True, 5.0 + TAKE_AWAY_SECONDS, 5.0 + RING_AFTER)


@pytest.mark.parametrize("to", [PERSON, END])
def test_every_departure_has_an_end_before_and_after_it_has_left(to: ToPerson | ToEnd) -> None:
    departure = Departure(to, speaking(), 5.0)
    assert not departure.due(5.0 + ANNOUNCE_SECONDS - 0.1)
    assert departure.due(5.0 + ANNOUNCE_SECONDS)
    departure.leave("timeout", 6.0)
    assert 6.0 < departure.deadline <= 14.0
    assert departure.due(departure.deadline)


def test_a_goodbye_is_heard_to_its_end_and_an_announcement_is_not_waited_for() -> None:
    assert Departure(PERSON, speaking(ms=6000), 0.0).due(ANNOUNCE_SECONDS)
    goodbye = Departure(END, speaking(ms=6000), 0.0)
    assert not goodbye.due(ANNOUNCE_SECONDS)
    assert 6.0 < goodbye.deadline < 7.0
    assert goodbye.due(goodbye.deadline)


def test_a_goodbye_without_an_end_is_cut_short() -> None:
    goodbye = Departure(END, speaking(ms=60_000), 0.0)
    assert not goodbye.due(ANNOUNCE_SECONDS)
    assert goodbye.deadline == GOODBYE_SECONDS
    assert goodbye.due(GOODBYE_SECONDS)
