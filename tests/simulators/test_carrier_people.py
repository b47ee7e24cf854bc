"""What people do at the stand-in carrier beyond picking up: whispers, rooms, queues with a way out, messages."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from simulators import audio
from simulators.carrier import Call, Callee, HangsUp, Line, MeetsPerson, Says, ScriptedCaller, Waits
from tests.simulators.carrier_peers import CALLER, GUARD, NUMBER, PERSON, World, beep, moved_client, world

OTHER = "+15550100002"
WHISPER = '<Gather numDigits="1" timeout="1" action="/key"><Say>A caller for you. Press 1.</Say></Gather><Hangup/>'
TONE = audio.tone([700], 400)


def place(here: World, *steps: Any) -> Call:
    caller = ScriptedCaller(steps, beep)
    return here.carrier.place_call(from_=CALLER, to=NUMBER, caller=caller, patience=GUARD)


async def play(here: World, *steps: Any) -> Call:
    call = place(here, *steps)
    async with asyncio.timeout(2 * GUARD):
        await call.ended
    return call


def whats(call: Call) -> list[str]:
    return [event["what"] for event in call.events]


async def test_who_hangs_up_during_the_whisper_is_not_bridged_and_who_presses_is() -> None:
    dial = f'<Dial action="/dialled"><Number url="/whisper">{PERSON}</Number></Dial>'
    for callee, bridged in (
        (Callee(after=0, leaves_whisper=True), False),
        (Callee(after=0, presses="1", hangs_up_after=0.1), True),
    ):
        async with world(**{"in": dial, "whisper": WHISPER, "key": "", "dialled": ""}) as here:
            here.carrier.callees[PERSON] = callee
            call = await play(here)
            assert ("bridged" in whats(call)) is bridged
            assert here.app.of("/dialled")[0].form["DialBridged"] == str(bridged).lower()


async def test_who_is_not_the_first_to_accept_is_let_go_at_once() -> None:
    nouns = "".join(f'<Number url="/whisper">{number}</Number>' for number in (PERSON, OTHER))
    async with world(**{"in": f"<Dial>{nouns}</Dial>", "whisper": WHISPER, "key": ""}) as here:
        here.carrier.callees[PERSON] = Callee(after=0, presses="1")
        here.carrier.callees[OTHER] = Callee(after=0)
        call = await play(here, MeetsPerson(), Waits(0.3), HangsUp())
        winner, other = (leg.resource.ended_at for leg in call.legs)
        assert winner
        assert other
        assert other < winner


async def test_a_callee_may_depend_on_the_number_that_was_called() -> None:
    async with world(**{"in": f"<Dial><Number>{PERSON}</Number></Dial>"}) as here:
        here.carrier.callees[PERSON] = Callee(after=0, hangs_up_after=0.1)
        here.carrier.callees[f"{PERSON} via {NUMBER}"] = Callee(answer="busy", after=0)
        call = await play(here)
        assert call.legs[0].status == "busy"


async def test_a_ring_that_rest_ends_is_never_answered() -> None:
    async with world(person="<Say>Hello</Say>") as here:
        here.carrier.callees[PERSON] = Callee(after=0.3)
        client = moved_client(here.carrier)
        made = await asyncio.to_thread(
            lambda: client.calls.create(to=PERSON, from_=NUMBER, url=here.app.base + "/person")
        )
        await asyncio.to_thread(lambda: client.calls(made.sid).update(status="completed"))
        call = here.carrier.calls[made.sid]
        async with asyncio.timeout(GUARD):  # the callee's own task is over only after it would have answered
            await asyncio.wait(set(here.carrier.exchange.tasks))
        assert (call.status, here.app.of("/person")) == ("canceled", [])
        assert "in-progress" not in [event["detail"] for event in call.events]


async def test_two_calls_meet_in_a_room_that_rest_shows() -> None:
    room = '<Dial><Conference endConferenceOnExit="true" waitUrl="">room</Conference></Dial>'
    async with world(**{"in": room, "person": WHISPER, "key": room}) as here:
        here.carrier.callees[PERSON] = Callee(after=0, says=TONE, presses="1", hangs_up_after=1.0)
        client = moved_client(here.carrier)
        call = place(here)
        person = await asyncio.to_thread(
            lambda: client.calls.create(to=PERSON, from_=NUMBER, url=here.app.base + "/person")
        )
        async with asyncio.timeout(GUARD):
            await call.open_line.connected_to_person()

        def members() -> set[str]:
            (found,) = client.conferences.list(friendly_name="room", status="in-progress")
            return {member.call_sid for member in found.participants.list()}

        assert await asyncio.to_thread(members) == {call.sid, person.sid}
        assert await asyncio.to_thread(lambda: client.conferences.list(friendly_name="another")) == []
        async with asyncio.timeout(GUARD):
            await call.ended
        assert "bridged" in whats(call)
        assert audio.level(call.ear) > -60


async def test_a_queue_is_left_when_its_wait_document_says_so() -> None:
    waits = iter(['<Pause length="1"/>', "<Leave/>"])

    async def wait(_form: dict[str, str]) -> web.Response:
        return web.Response(text=f"<Response>{next(waits)}</Response>", content_type="text/xml")

    enqueue = '<Enqueue waitUrl="/wait" action="/left">support</Enqueue>'
    async with world(**{"in": enqueue, "wait": wait, "left": ""}) as here:
        await play(here)
        assert here.app.of("/left")[0].form["QueueResult"] == "leave"
        first, second = (int(asked.form["QueueTime"]) for asked in here.app.of("/wait"))
        assert first == 0
        assert second >= 1


async def test_a_message_is_reported_also_when_the_caller_hangs_up_after_it() -> None:
    record = '<Record action="/message" recordingStatusCallback="/recording" timeout="5"/>'
    for steps, digits in (([Says(TONE), Waits(0.2), HangsUp()], "hangup"), ([HangsUp()], None)):

        async def caller(line: Line, steps: list[Any] = steps) -> None:
            await line.hears(200)
            await line.say(audio.silence(300))
            await ScriptedCaller(steps, beep)(line)

        async with world(**{"in": record, "message": ""}) as here:
            call = here.carrier.place_call(from_=CALLER, to=NUMBER, caller=caller, patience=GUARD)
            async with asyncio.timeout(GUARD):
                await call.ended
            if digits is None:
                assert here.carrier.exchange.recordings == {}
                continue
            (message,) = await here.app.until("/message")
            (report,) = await here.app.until("/recording")
            assert message.form["Digits"] == digits
            assert report.form["RecordingStatus"] == "completed"
            assert report.form["RecordingSid"] in here.carrier.exchange.recordings
