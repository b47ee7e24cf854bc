"""A call whose relay must go is sent on at a good moment, with its memory, and goes on elsewhere where it stopped."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TypeVar

import pytest

from containers.media_relay import actions, agent, media_streams, realtime
from containers.media_relay.actions import CloseStream, QueueTransfer, Remember
from containers.media_relay.silence import NEVER
from contracts import events, stream
from contracts.agent_file import AgentFile
from contracts.row import StreamState
from contracts.visit import MOVED, Resumes, moved
from tests.containers.media_relay.house import AUTH_TOKEN, Phone, house
from tests.containers.media_relay.test_attended_calls import rung
from tests.containers.media_relay.test_server import signed
from tests.containers.media_relay.test_session import call, done, say, talking
from tests.containers.media_relay.worlds import AGENT_FILE, PEOPLE_FILE, World, start

Kind = TypeVar("Kind")
SPEAKING, LISTENING = (next(why for why, how in MOVED.items() if how is wanted) for wanted in Resumes)


def of(performed: list[actions.Action], kind: type[Kind]) -> list[Kind]:
    return [one for one in performed if isinstance(one, kind)]


def closes(performed: list[actions.Action]) -> list[str]:
    return [one.why for one in of(performed, CloseStream)]


# ---- the moment ------------------------------------------------------------------------------------------------------


def test_R14_a_call_that_must_move_waits_for_the_end_of_the_sentence() -> None:
    world = talking()
    say(world, 16000)
    world.tell(actions.Drain(10.0))
    done(world)
    assert not world.session.over, "two seconds are still to be heard"
    world.pass_time(2.1)
    assert closes(world.done) == [LISTENING], "the caller's turn has come: the agent there listens"


def test_R14_a_call_that_must_move_now_moves_amid_a_sentence_and_remembers_what_was_heard() -> None:
    world = talking()
    say(world, 16000)
    world.tell(realtime.AgentTranscript("item_1", "one two three four five six seven eight"))
    world.pass_time(1.0)
    performed = world.tell(actions.Drain(0.0))
    assert closes(performed) == [SPEAKING]
    (heard,) = of(performed, Remember)
    assert heard == Remember("agent", "one two three four …")


def test_R14_a_sentence_that_is_still_being_generated_is_remembered_as_far_as_it_was_heard() -> None:
    world = talking()
    for words in ("one two ", "three four "):
        world.tell(realtime.AgentWords("item_1", words))
        say(world, 4000)
    world.pass_time(0.6)
    (heard,) = of(world.tell(actions.Drain(0.0)), Remember)
    assert heard == Remember("agent", "one two …")


def test_R14_a_caller_who_speaks_is_listened_to_by_the_next_relay() -> None:
    world = talking()
    world.tell(realtime.SpeechStarted("item_2"))
    world.tell(actions.Drain(3.0))
    assert not world.session.over, "it may come to a better moment"
    world.pass_time(3.0)
    assert closes(world.done) == [LISTENING]


def test_R14_a_hand_off_that_has_not_left_leaves_before_the_stream_ends() -> None:
    world = talking()
    call(world)
    performed = world.tell(actions.Drain(0.0))
    kinds = [type(one) for one in performed]
    assert kinds.index(QueueTransfer) < kinds.index(CloseStream)


def test_R14_a_superseded_visit_is_silent_at_once() -> None:
    world = talking()
    say(world, 16000)
    performed = world.tell(actions.Superseded())
    assert type(performed[0]) is media_streams.Clear
    assert closes(performed) == ["superseded"]
    assert world.session.deadline == NEVER


# ---- the next visit --------------------------------------------------------------------------------------------------


def resumed(how: Resumes, *turns: tuple[str, str]) -> World:
    world = World(past=agent.Past(turns, visit=2, resumes=how))
    world.tell(start())
    world.model_open = True
    world.tell(actions.ModelConnected())
    world.ready = True
    world.tell(realtime.SessionUpdated(mu_law=True))
    return world


def test_R14_where_it_was_the_callers_turn_the_agent_listens() -> None:
    world = resumed(Resumes.LISTENING, ("agent", "When was that?"))
    assert [one.text for one in of(world.done, realtime.CreateItem)] == ["When was that?"]
    assert not of(world.done, realtime.CreateResponse)
    world.pass_time(0.9)
    assert not of(world.done, media_streams.Media), "neither a word nor a ring"
    assert not of(world.done, realtime.CreateResponse)


def test_R14_a_caller_who_spoke_while_the_call_moved_is_asked_to_go_on_within_two_seconds() -> None:
    world = resumed(Resumes.LISTENING, ("agent", "When was that?"))
    world.pass_time(1.1)
    assert [one.instructions for one in of(world.done, realtime.CreateResponse)] == [agent.GO_ON]


def test_R14_a_caller_who_speaks_after_the_move_is_listened_to() -> None:
    world = resumed(Resumes.LISTENING, ("agent", "When was that?"))
    world.tell(realtime.SpeechStarted("item"))
    world.pass_time(3.0)
    assert not of(world.done, realtime.CreateResponse)


def test_R14_where_the_agent_was_cut_it_takes_up_its_sentence() -> None:
    world = resumed(Resumes.SPEAKING, ("caller", "hello"), ("agent", "our offices …"))
    (create,) = of(world.done, realtime.CreateResponse)
    assert create.instructions == agent.CARRY_ON


@pytest.mark.parametrize("how", Resumes)
def test_R14_a_caller_who_has_heard_nothing_yet_is_greeted(how: Resumes) -> None:
    (create,) = of(resumed(how).done, realtime.CreateResponse)
    assert "Say exactly this" in create.instructions


# ---- with sockets ----------------------------------------------------------------------------------------------------


async def test_R14_the_ledger_has_the_conversation_before_the_stream_closes() -> None:
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        _, end = await asyncio.gather(home.server.drain(0.0), phone.closed())
        row = home.ledger.read(phone.call_sid)
        assert row is not None
        assert end == (1000, row.stream.ended_reason)
        assert moved(row) is not None
        assert [turn.text for turn in row.conversation] == ["canary words of the agent"]


async def test_R14_calls_that_must_go_are_told_one_after_another() -> None:
    async with house() as home, home.phone() as one, home.phone() as other:
        for phone in (one, other):
            await phone.start()
            await phone.send("mark", mark=(await phone.hear("mark"))["mark"])
        await home.logged(events.RESPONSE_DONE, 2)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(home.server.drain(2.0, moving=2.0), one.closed(), other.closed())
        assert asyncio.get_running_loop().time() - began >= 0.5


async def test_R14_a_person_who_is_being_called_stays_called_when_the_call_moves() -> None:
    async with house(agent_file=PEOPLE_FILE) as home:
        async with home.phone() as phone:
            await rung(home, phone)
            for call in list(home.server._calls):
                call.drain(0.0)
            await phone.closed()
        await home.empty()
        row = home.ledger.read(phone.call_sid)
        assert row is not None
        path = home.offer_again(phone.call_sid, 2, moved(row))
        responses = len(home.model.of("response.create"))
        async with home.dial(path) as socket:
            second = Phone(socket, phone.call_sid)
            await second.start()
            await home.logged(events.MODEL_READY, 2)
            items = home.model.of("conversation.item.create")
            await second.send("stop", stop={})
            await second.closed()
        assert "is being called" in str(items[-1])
        assert len(home.queue.sent) == 1
        assert len(home.model.of("response.create")) - responses <= 1


async def test_S7_a_visit_that_is_taken_over_ends_the_stream_of_the_one_before() -> None:
    async with house() as home, home.phone() as first:
        await first.start()
        await first.hear("mark")
        async with home.dial(home.offer_again(first.call_sid, 2)) as socket:
            second = Phone(socket, first.call_sid)
            await second.start()
            await second.hear("media")
            assert await first.closed() == (1000, "superseded")
            heard = len(first.got)
            await second.speak()
            await home.model.told("input_audio_buffer.append")
            assert len(first.got) == heard, "the loser hears nothing more"
        row = home.ledger.read(first.call_sid)
        assert row is not None
        assert (row.stream.visit, row.stream.state) == (2, StreamState.LIVE)


async def test_S7_a_handshake_that_was_overtaken_by_the_next_visit_takes_nothing_from_it() -> None:
    read, waits = asyncio.Event(), asyncio.Event()

    async def slowly_the_first_time(_reference: str) -> AgentFile:
        if not waits.is_set():
            waits.set()
            await read.wait()
        return AGENT_FILE

    async with house() as home:
        home.server._settings = replace(home.server._settings, agent_file=slowly_the_first_time)
        call_sid, path = home.offer()
        late = asyncio.create_task(home.ask(signed(path)))
        await waits.wait()
        row = home.ledger.stream_ended(call_sid, 1, "never_started")
        assert row is not None
        token = stream.mint(call_sid, 2, "n", AUTH_TOKEN)
        home.ledger.offer_stream(call_sid, 2, nonce="n", digest=stream.digest(token))
        async with home.dial(stream.MEDIA_PATH + token) as socket:
            phone = Phone(socket, call_sid)
            await phone.start()
            await phone.hear("mark")
            read.set()
            assert await late == 403
            await phone.speak()
            await home.model.told("input_audio_buffer.append")
        assert [line["visit"] for line in home.of(events.MEDIA_ACCEPTED)] == [2]


async def test_S7_a_relay_that_slept_finds_out_that_its_call_has_gone_on_elsewhere() -> None:
    async with house() as home, home.phone() as phone, home.phone() as kept:
        for one in (phone, kept):
            await one.start()
            await one.hear("mark")
        home.offer_again(phone.call_sid, 2)
        home.server.check_calls()
        assert await phone.closed() == (1000, "superseded")
        await kept.speak()
        await home.model.told("input_audio_buffer.append")
