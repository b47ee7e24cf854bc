"""Whole calls over real sockets: what TwiML does to a call, and what the callbacks and the debugger say of it."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from simulators import audio
from simulators.carrier import (
    Call,
    Callee,
    HangsUp,
    Hears,
    Line,
    Listens,
    MeetsPerson,
    Presses,
    Says,
    ScriptedCaller,
    Variants,
    Waits,
)
from simulators.report import silence
from tests.simulators.carrier_peers import CALLER, GUARD, NUMBER, PERSON, World, beep, world

QUICK = Variants(ring_grace_seconds=0)
DIAL = f'<Dial action="/dialled" timeout="5"><Number>{PERSON}</Number></Dial>'


def place(here: World, *steps: Any, patience: float = GUARD) -> Call:
    caller = ScriptedCaller(steps, beep)
    return here.carrier.place_call(from_=CALLER, to=NUMBER, caller=caller, patience=patience)


async def play(here: World, *steps: Any, patience: float = GUARD) -> Call:
    call = place(here, *steps, patience=patience)
    async with asyncio.timeout(2 * GUARD):
        await call.ended
    return call


def whats(call: Call) -> list[str]:
    return [event["what"] for event in call.events]


def audible(call: Call) -> int:
    """Milliseconds of sound at the caller's ear."""
    return silence.FRAME_MS * int((silence.envelope(bytes(call.ear)) > silence.AUDIBLE_DBFS).sum())


class TestDocuments:
    async def test_every_request_is_signed_and_says_what_twilio_says(self) -> None:
        async with world(**{"in": '<Say>Hi</Say><Redirect method="GET">/next?a=1</Redirect>', "next": ""}) as here:
            here.number(status_callback=here.app.base + "/status")
            call = await play(here)
            await here.app.until("/status")
        assert [asked.path for asked in here.app.asked] == ["/in", "/next", "/status"]
        assert all(asked.valid for asked in here.app.asked)
        first, last = here.app.asked[0], here.app.asked[2]
        assert first.form["CallStatus"] == "ringing"
        assert (first.form["From"], first.form["To"], first.form["Direction"]) == (CALLER, NUMBER, "inbound")
        assert first.form["FromCity"] == ""
        assert (last.form["CallStatus"], last.form["CallSid"]) == ("completed", call.sid)
        assert {"CallDuration", "Duration", "Timestamp", "SequenceNumber"} <= last.form.keys()
        assert call.status == "completed"
        assert here.carrier.debugger.entries == []

    async def test_what_is_said_played_and_paused_is_heard_in_real_time(self) -> None:
        data = io.BytesIO()
        with wave.open(data, "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(audio.decode(audio.tone([400], 200)).astype("<i2").tobytes())

        async def wav(_form: dict[str, str]) -> web.Response:
            return web.Response(body=data.getvalue(), content_type="audio/wav")

        body = '<Say loop="2">Hello there</Say><Pause length="1"/><Play>/wav</Play><Play digits="1w2"/>'
        async with world(**{"in": body, "wav": wav}) as here:
            call = await play(here)
        assert len(call.ear) == len(call.mouth)
        assert len(call.ear) / 8000 >= 0.22 + 1 + 0.2 + 0.82
        assert audio.level(call.ear) > -40

    @pytest.mark.parametrize(
        ("code", "answer"),
        [
            (11200, web.Response(status=500)),
            (11200, web.Response(status=404)),
            (12300, web.Response(text="<Response/>", content_type="text/plain")),
            (12100, web.Response(text="<Response>", content_type="text/xml")),
            (12100, web.Response(status=204, content_type="text/xml")),
        ],
    )
    async def test_a_failure_is_logged_and_leads_to_the_fallback_url(self, code: int, answer: web.Response) -> None:
        async def broken(_form: dict[str, str]) -> web.Response:
            return answer

        async with world(**{"in": broken, "fallback": "<Say>Sorry</Say>"}) as here:
            here.number(fallback_url=here.app.base + "/fallback")
            call = await play(here)
        (asked,) = here.app.of("/fallback")
        assert asked.form["ErrorCode"] == str(code)
        assert asked.form["ErrorUrl"] == here.app.base + "/in"
        assert here.carrier.debugger.codes(call.sid) == [code]
        assert "say" in whats(call)

    async def test_without_a_fallback_a_ringing_call_fails_and_an_answered_one_hears_an_apology(self) -> None:
        async with world(**{"in": "<Fly/>"}) as here:
            call = await play(here)
            assert (call.status, here.carrier.debugger.codes()) == ("failed", [12200])
            here.app.answers["/in"] = "<Say>Hi</Say><Redirect>/gone</Redirect>"
            here.app.answers["/gone"] = ""
            greeted = await play(here)
            here.app.answers["/gone"] = "<Fly/>"
            call = await play(here)
        assert call.status == "completed"
        assert audible(call) > 2 * audible(greeted) > 0

    async def test_an_application_that_is_down_is_11205(self) -> None:
        async with world(**{"in": ""}) as here:
            here.carrier.numbers[NUMBER] = type(here.carrier.numbers[NUMBER])("http://127.0.0.1:1/in")
            call = await play(here)
        assert here.carrier.debugger.codes(call.sid) == [11205]

    async def test_an_application_too_slow_for_the_url_it_gave_is_11205_and_asked_again_only_if_it_wants(self) -> None:
        async def slow(_form: dict[str, str]) -> str:
            await asyncio.Event().wait()
            return ""

        async with world(**{"in": slow}) as here:
            for fragment, times in (("#rt=200", 1), ("#rt=200&rp=rt&rc=2", 3)):
                here.app.asked.clear()
                here.carrier.numbers[NUMBER] = type(here.carrier.numbers[NUMBER])(here.app.base + "/in" + fragment)
                call = await play(here)
                assert here.carrier.debugger.codes(call.sid) == [11205]
                assert len(here.app.asked) == times
                assert len({asked.headers["I-Twilio-Idempotency-Token"] for asked in here.app.asked}) == 1

    async def test_a_rejected_call_was_never_answered(self) -> None:
        async with world(**{"in": '<Reject reason="busy"/>'}) as here:
            assert (await play(here)).status == "busy"
            here.app.answers["/in"] = "<Reject/>"
            assert (await play(here)).status == "failed"

    async def test_callers_who_lose_patience_or_hang_up_end_the_call(self) -> None:
        async with world(**{"in": '<Pause length="60"/>'}) as here:
            here.app.answers["/in"] = '<Say>Hi</Say><Pause length="60"/>'
            call = await play(here, patience=0.3)
            assert ("caller", "gave up after 0.3 s") in [(event["what"], event["detail"]) for event in call.events]
            assert call.status == "completed"
            call = await play(here, Listens(100), HangsUp())
        assert [event["detail"] for event in call.events if event["what"] == "ended"] == ["caller"]

    async def test_stopping_the_carrier_ends_live_calls(self) -> None:
        async with world(**{"in": '<Say>Hi</Say><Pause length="60"/>'}) as here:
            call = place(here)
            await here.app.until("/in")
            await here.carrier.stop()
            assert call.status in {"completed", "canceled"}
            assert not here.carrier.exchange.tasks

    async def test_a_caller_whose_own_code_fails_hangs_up(self) -> None:
        async def clumsy(line: Line) -> None:
            await line.hears(20)
            raise ZeroDivisionError

        async with world(**{"in": '<Say>Hi</Say><Pause length="60"/>'}) as here:
            call = here.carrier.place_call(from_=CALLER, to=NUMBER, caller=clumsy)
            failed = [task for task in here.carrier.exchange.tasks if "_live" in repr(task)]
            async with asyncio.timeout(GUARD):
                await call.ended
            with pytest.raises(ZeroDivisionError):
                await failed[0]
        assert call.status == "completed"


class TestKeysAndRecordings:
    async def test_gathered_keys_go_to_the_action_and_cut_the_prompt(self) -> None:
        prompt = f"<Say>{'a long prompt ' * 40}</Say>"
        body = f'<Gather numDigits="2" action="/keys">{prompt}</Gather>'
        async with world(**{"in": body, "keys": ""}) as here:
            call = await play(here, Hears(100), Presses("42"))
        assert here.app.of("/keys")[0].form["Digits"] == "42"
        assert len(call.ear) < 5.6 * 8000

    async def test_the_finishing_key_is_not_among_the_digits(self) -> None:
        async with world(**{"in": '<Gather action="/keys"><Say>Hi</Say></Gather>', "keys": ""}) as here:
            await play(here, Hears(20), Presses("7#"))
        assert here.app.of("/keys")[0].form["Digits"] == "7"

    async def test_without_a_key_the_next_verb_runs_or_the_action_if_wanted(self) -> None:
        async with world(**{"in": '<Gather timeout="0"/><Say>Nothing</Say>', "keys": ""}) as here:
            assert "say" in whats(await play(here))
            here.app.answers["/in"] = '<Gather timeout="0" actionOnEmptyResult="true" action="/keys"/>'
            await play(here)
        assert here.app.of("/keys")[0].form["Digits"] == ""

    async def test_a_recording_holds_what_was_said_and_an_empty_one_goes_on(self) -> None:
        body = '<Record timeout="1" action="/recorded"/><Say>Nothing</Say>'
        async with world(**{"in": body, "recorded": ""}) as here:
            await play(here, Listens(100), Says(audio.tone([700], 600)))
            (asked,) = here.app.of("/recorded")
            call = await play(here)
        assert audio.level(here.carrier.exchange.recordings[asked.form["RecordingSid"]]) > -30
        assert "say" in whats(call)

    async def test_a_key_ends_a_recording(self) -> None:
        body = '<Say>Hi</Say><Record action="/recorded" playBeep="false" finishOnKey="#"/>'
        async with world(**{"in": body, "recorded": ""}) as here:
            await play(here, Listens(20), Says(audio.tone([700], 300)), Presses("#"))
        assert here.app.of("/recorded")[0].form["Digits"] == "#"


class TestDialling:
    async def test_a_dialled_person_is_heard_and_hears_and_the_action_learns_how_it_went(self) -> None:
        events = 'statusCallback="/leg" statusCallbackEvent="initiated ringing answered completed"'
        body = f'<Dial action="/dialled" timeout="5" answerOnBridge="true"><Number {events}>{PERSON}</Number></Dial>'
        async with world(**{"in": body, "dialled": "", "leg": ""}) as here:
            call = await play(here, MeetsPerson(), Says(audio.tone([700], 200)))
            legs = await here.app.until("/leg", 4)
        (leg,) = here.carrier.legs
        assert (call.dials, call.status, leg.status) == (1, "completed", "completed")
        form = here.app.of("/dialled")[0].form
        assert (form["DialCallStatus"], form["DialCallSid"], form["DialBridged"]) == ("completed", leg.sid, "true")
        assert form["DialCallDuration"].isdigit()
        assert audio.level(leg.ear) > -40
        by_sequence = sorted(legs, key=lambda asked: int(asked.form["SequenceNumber"]))
        assert [asked.form["CallStatus"] for asked in by_sequence] == [
            "initiated",
            "ringing",
            "in-progress",
            "completed",
        ]
        assert all(asked.form["ParentCallSid"] == call.sid and asked.valid for asked in legs)
        assert here.app.of("/dialled")[0].form["CallStatus"] == "in-progress"

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            ("busy", "busy"),
            ("failed", "failed"),
            ("declines", "busy"),
            ("no-answer", "no-answer"),
            ("voicemail", "completed"),
        ],
    )
    async def test_each_kind_of_callee_has_its_dial_call_status(self, answer: Any, status: str) -> None:
        async with world(QUICK, **{"in": DIAL, "dialled": ""}) as here:
            here.carrier.callees[PERSON] = Callee(answer=answer, after=0.1, hangs_up_after=0.2)
            await play(here)
        assert here.app.of("/dialled")[0].form["DialCallStatus"] == status
        assert here.carrier.legs[0].resource.ended

    async def test_a_caller_id_of_somebody_else_is_13214(self) -> None:
        async with world(QUICK, **{"in": f'<Dial callerId="+15550107777">{PERSON}</Dial>'}) as here:
            await play(here)
            here.app.answers["/in"] = f'<Dial callerId="{NUMBER}">{PERSON}</Dial>'
            await play(here)
        assert here.carrier.debugger.codes() == [13214]

    async def test_nobody_at_a_number_is_failed_and_without_action_the_next_verb_runs(self) -> None:
        async with world(**{"in": "<Dial>+15550107777</Dial><Say>Nobody</Say>"}) as here:
            call = await play(here)
        assert whats(call).index("say") > whats(call).index("dial_ended")
        assert here.carrier.legs[0].status == "failed"

    async def test_the_ringing_is_heard_until_somebody_answers(self) -> None:
        async with world(QUICK, **{"in": DIAL, "dialled": ""}) as here:
            here.carrier.callees[PERSON] = Callee(answer="busy", after=1.0)
            call = await play(here)
        second = call.ear[:8000].ljust(8000, b"\xff")  # so that a place in its spectrum is a frequency
        spectrum = abs(np.fft.rfft(audio.decode(second)))
        assert {int(spectrum[:460].argmax()), 460 + int(spectrum[460:].argmax())} == {440, 480}

    async def test_of_several_the_first_to_answer_wins_and_the_others_are_canceled(self) -> None:
        body = f'<Dial action="/dialled"><Number>{PERSON}</Number><Number>+15550100002</Number></Dial>'
        async with world(**{"in": body, "dialled": ""}) as here:
            here.carrier.callees["+15550100002"] = Callee(after=5.0)
            await play(here)
        assert [leg.status for leg in here.carrier.legs] == ["completed", "canceled"]

    async def test_sequentially_one_is_tried_after_the_other(self) -> None:
        body = (
            f'<Dial action="/dialled" sequential="true"><Number>+15550100002</Number><Number>{PERSON}</Number></Dial>'
        )
        async with world(**{"in": body, "dialled": ""}) as here:
            here.carrier.callees["+15550100002"] = Callee(answer="busy", after=0.1)
            await play(here)
        assert [leg.status for leg in here.carrier.legs] == ["busy", "completed"]

    @pytest.mark.parametrize(("presses", "status", "bridged"), [("1", "completed", "true"), ("", "no-answer", "false")])
    async def test_a_whisper_may_ask_for_consent(self, presses: str, status: str, bridged: str) -> None:
        body = f'<Dial action="/dialled" answerOnBridge="true"><Number url="/whisper">{PERSON}</Number></Dial>'
        whisper = '<Gather numDigits="1" timeout="1" action="/accept"><Say>Press one</Say></Gather><Hangup/>'
        async with world(**{"in": body, "whisper": whisper, "accept": "", "dialled": ""}) as here:
            here.carrier.callees[PERSON] = Callee(after=0.1, presses=presses, hangs_up_after=0.3)
            await play(here)
        form = here.app.of("/dialled")[0].form
        assert (form["DialCallStatus"], form["DialBridged"]) == (status, bridged)
        assert here.app.of("/whisper")[0].form["Direction"] == "outbound-dial"

    async def test_a_dial_within_a_whisper_is_13201(self) -> None:
        body = f'<Dial><Number url="/whisper">{PERSON}</Number></Dial>'
        async with world(**{"in": body, "whisper": DIAL}) as here:
            await play(here)
        assert here.carrier.debugger.codes() == [13201]

    async def test_a_caller_who_hangs_up_leaves_no_leg_behind(self) -> None:
        async with world(**{"in": DIAL}) as here:
            here.carrier.callees[PERSON] = Callee(after=30)
            await play(here, Hears(200), HangsUp())
        assert [leg.status for leg in here.carrier.legs] == ["canceled"]

    async def test_the_time_limit_and_the_star_end_a_conversation(self) -> None:
        async with world(**{"in": f'<Dial action="/dialled" timeLimit="1">{PERSON}</Dial>', "dialled": ""}) as here:
            here.carrier.callees[PERSON] = Callee(after=0.0, says="Hello", talks_for=30.0)
            call = await play(here)
            assert "time_limit" in whats(call)
            here.app.answers["/in"] = f'<Dial action="/dialled" hangupOnStar="true">{PERSON}</Dial>'
            await play(here, MeetsPerson(), Presses("*"))
        assert [asked.form["DialCallStatus"] for asked in here.app.of("/dialled")] == ["completed"] * 2

    async def test_a_queue_brings_two_callers_together(self) -> None:
        async with world(**{"in": '<Enqueue action="/left">help</Enqueue>', "left": ""}) as here:
            waiting = place(here, Hears(100), MeetsPerson(), Waits(0.3), HangsUp())
            await here.app.until("/in")
            here.app.answers["/in"] = '<Dial action="/dialled"><Queue>help</Queue></Dial>'
            here.app.answers["/dialled"] = ""
            async with asyncio.timeout(GUARD):
                await waiting.open_line.until(lambda: "help" in here.carrier.exchange.queues)
            answering = await play(here, MeetsPerson(), Says(audio.tone([700], 200)))
            empty = await play(here)
        assert here.app.of("/dialled")[0].form["DialCallStatus"] == "completed"
        assert here.app.of("/dialled")[1].form["DialCallStatus"] == "failed"
        assert answering.status == empty.status == waiting.status == "completed"

    async def test_a_full_queue_says_so_and_whoever_leaves_it_is_not_met(self) -> None:
        body = '<Enqueue action="/left" maxQueueSize="1">help</Enqueue>'
        async with world(**{"in": body, "left": ""}) as here:
            waiting = place(here, Hears(100), HangsUp())
            async with asyncio.timeout(GUARD):
                await waiting.open_line.until(lambda: "help" in here.carrier.exchange.queues)
            await play(here)
            async with asyncio.timeout(GUARD):
                await waiting.ended
            here.app.answers["/in"] = '<Dial action="/dialled"><Queue>help</Queue></Dial>'
            await play(here)
        assert here.app.of("/left")[0].form["QueueResult"] == "queue-full"
        assert here.app.of("/dialled")[0].form["DialCallStatus"] == "failed"

    async def test_a_conference_lets_everybody_hear_everybody_else(self) -> None:
        room = '<Dial action="/left"><Conference endConferenceOnExit="true">room</Conference></Dial>'
        async with world(**{"in": room, "left": ""}) as here:
            first = place(here, Hears(200))
            await here.app.until("/in")
            second = await play(here, Says(audio.tone([700], 400)), HangsUp())
            async with asyncio.timeout(GUARD):
                await first.ended
        assert here.app.of("/left")[0].form["DialCallStatus"] == "answered"
        assert audio.level(first.ear) > -40
        assert second.status == "completed"


@pytest.mark.parametrize("asked", [True, False])
async def test_the_action_of_a_dial_is_requested_on_hang_up_where_this_carrier_does_so(*, asked: bool) -> None:
    async with world(Variants(action_on_hang_up=asked), **{"in": DIAL, "dialled": ""}) as here:
        await play(here, MeetsPerson(), HangsUp())
        await here.carrier.stop()
    assert len(here.app.of("/dialled")) == asked
    if asked:
        assert here.app.of("/dialled")[0].form["DialCallStatus"] == "completed"
