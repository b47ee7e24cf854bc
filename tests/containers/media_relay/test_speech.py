"""The caller's ear: agent, ringing, and what is cut."""

from __future__ import annotations

from containers.media_relay import media_streams, realtime, ringback
from containers.media_relay.actions import Log, Remember
from containers.media_relay.silence import NEVER
from containers.media_relay.speech import Speech
from contracts import events
from tests.containers.media_relay.worlds import STREAM_SID, audio


def delta(octets: int) -> realtime.AudioDelta:
    return realtime.AudioDelta("r", "i", audio(octets))


def speaking() -> Speech:
    speech = Speech()
    speech.stream_sid = STREAM_SID
    return speech


def test_nothing_is_said_before_the_stream_has_a_name() -> None:
    assert Speech().say(delta(160), 0.0) == []


def test_the_first_audio_of_a_response_is_logged_once_and_long_speech_is_marked() -> None:
    speech = speaking()
    assert speech.say(delta(160), 0.0) == [
        Log(events.RESPONSE_AUDIO, {"response_id": "r"}),
        media_streams.Media(STREAM_SID, audio(160)),
    ]
    assert speech.say(delta(3200), 0.0)[1:] == [media_streams.Mark(STREAM_SID, "g0.1")]
    assert speech.finish() == []


def test_the_agent_ends_the_ringing() -> None:
    speech = speaking()
    assert speech.ring(0.0)[0] == media_streams.Media(STREAM_SID, ringback.payload())
    assert speech.say(delta(160), 1.0)[0] == media_streams.Clear(STREAM_SID)
    assert speech.ring_at == NEVER


def test_the_agents_own_words_are_not_cleared_when_it_is_about_to_ring() -> None:
    speech = speaking()
    speech.say(delta(8000), 0.0)
    speech.ring_at = 2.0
    assert media_streams.Clear(STREAM_SID) not in speech.say(delta(160), 0.5)
    assert speech.ring_at == NEVER


def test_ringing_that_is_between_two_rings_needs_no_clear() -> None:
    speech = speaking()
    (_, mark) = speech.ring(0.0)
    assert isinstance(mark, media_streams.Mark)
    speech.marked(mark.name, 2.0)
    assert speech.stop_ringing(3.0) == []


def test_ringing_begins_when_the_agent_has_finished_and_is_cut_without_a_truncation() -> None:
    speech = speaking()
    speech.say(delta(8000), 5.0)
    speech.start_ringing(5.0)
    assert speech.ring(5.0) == []
    assert speech.ring_at == 6.0
    assert speech.ring(6.0)
    cut = speech.cut(7.0)
    assert cut[0] == media_streams.Clear(STREAM_SID)
    assert not [one for one in cut if isinstance(one, realtime.Truncate) and one.item_id == ringback.ITEM]


def test_an_item_is_remembered_when_its_end_was_heard() -> None:
    speech = speaking()
    speech.say(delta(3200), 0.0)
    speech.memory.agent("i", "hello")
    assert speech.marked("g0.1", 0.4) == []
    assert speech.finish() == [Remember("agent", "hello")]
