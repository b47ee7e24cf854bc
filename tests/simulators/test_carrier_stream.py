"""Media Streams over real sockets: the protocol to the letter, what goes wrong, and both habits where nobody knows."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from simulators import audio
from simulators.carrier import Call, HangsUp, Hears, Presses, Says, ScriptedCaller, Variants, Waits
from simulators.carrier.call import Inline
from tests.simulators.carrier_peers import CALLER, GUARD, NUMBER, TOKEN, Media, World, beep, world

AFTER = "<Redirect>/next</Redirect>"


def streaming(here: World, verbs: str = AFTER, attributes: str = 'action="/ended"') -> None:
    here.app.answers |= {"/in": f"<Connect {attributes}>{here.stream}</Connect>{verbs}", "/ended": "", "/next": ""}


def place(here: World, *steps: Any) -> Call:
    return here.carrier.place_call(from_=CALLER, to=NUMBER, caller=ScriptedCaller(steps, beep), patience=GUARD)


async def greet(media: Media) -> None:
    await media.say(audio.tone([500], 100))


async def over(call: Call) -> None:
    async with asyncio.timeout(GUARD):
        await call.ended


async def test_a_stream_begins_flows_and_ends_as_documented() -> None:
    async with world() as here:
        here.media.on_start = greet
        streaming(here)
        call = place(here, Hears(60), Says(audio.tone([700], 200)), Presses("5"), Waits(0.2), HangsUp())
        await over(call)
        await here.media.until("(closed)")
    events = [message["event"] for message in here.media.messages]
    assert events[:2] == ["connected", "start"]
    assert events[-2:] == ["stop", "(closed)"]
    assert here.media.messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = here.media.of("start")[0]
    assert start["start"]["customParameters"] == {"visit": "1"}
    assert (start["start"]["callSid"], start["start"]["streamSid"]) == (call.sid, start["streamSid"])
    numbered = [message["sequenceNumber"] for message in here.media.messages[1:-1]]
    assert numbered == [str(position + 1) for position in range(len(numbered))]
    media = here.media.of("media")
    assert [(m["media"]["chunk"], m["media"]["timestamp"]) for m in media] == [
        (str(position + 1), str(20 * position)) for position in range(len(media))
    ]
    sent = b"".join(base64.b64decode(m["media"]["payload"]) for m in media)
    assert sent in call.mouth
    assert here.media.of("dtmf")[0]["dtmf"] == {"track": "inbound_track", "digit": "5"}
    assert here.carrier.debugger.entries == []


@pytest.mark.parametrize(("form", "suffix"), [("plain", ""), ("slash", "/")])
async def test_the_handshake_is_signed_over_the_streams_url(form: Any, suffix: str) -> None:
    async with world(Variants(signed_url=form)) as here:
        here.media.on_start = greet
        streaming(here)
        call = place(here, Hears(60), HangsUp())
        await over(call)
        await here.media.until("(closed)")
    (handshake,) = here.media.handshakes
    assert handshake.path == "/media/token"
    assert "Sec-WebSocket-Extensions" not in handshake.headers
    signature = handshake.headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(f"{here.media.url}/media/token{suffix}", {}, signature)


async def test_marks_come_back_when_played_and_clear_brings_them_back_at_once() -> None:
    async def speak(media: Media) -> None:
        await media.say(audio.tone([500], 200))
        await media.mark("played")
        await media.say(audio.tone([500], 60_000))
        await media.mark("cleared")

    async with world() as here:
        here.media.on_start = speak
        streaming(here)
        call = place(here)
        await here.media.until("mark")
        assert [mark["mark"]["name"] for mark in here.media.of("mark")] == ["played"]
        chunks = len(here.media.of("media"))
        assert chunks >= 9
        await here.media.send("clear")
        marks = await here.media.until("mark", 2)
        await here.media.mark("idle")
        await here.media.until("mark", 3)
        call.hang_up("caller")
        await here.media.until("(closed)")
    assert [mark["mark"]["name"] for mark in marks] == ["played", "cleared"]
    assert audio.level(call.ear) > -40
    assert "clear" in [event["what"] for event in call.events]


async def test_a_server_that_closes_is_31921_and_the_action_is_asked() -> None:
    async def leave(media: Media) -> None:
        assert media.socket is not None
        await media.socket.close()

    for variants, asked, codes in (
        (Variants(), ["/in", "/ended"], [31921]),
        (Variants(connect_action=False), ["/in", "/next"], [31921]),
        (Variants(close_is_logged=False), ["/in", "/ended"], []),
    ):
        async with world(variants) as here:
            here.media.on_start = leave
            streaming(here)
            await over(place(here))
        assert [request.path for request in here.app.asked] == asked
        assert here.carrier.debugger.codes() == codes


async def test_a_connection_that_breaks_is_31903() -> None:
    async def abort(media: Media) -> None:
        assert media.socket is not None
        media.socket.transport.abort()

    async with world() as here:
        here.media.on_start = abort
        streaming(here)
        await over(place(here))
    assert here.carrier.debugger.codes() == [31903]
    assert here.app.of("/ended")


async def test_a_protocol_violation_is_31924() -> None:
    async def violate(media: Media) -> None:
        assert media.socket is not None
        media.socket.transport.write(b"\x8f\x00")  # an opcode RFC 6455 reserves

    async with world() as here:
        here.media.on_start = violate
        streaming(here)
        await over(place(here))
    assert here.carrier.debugger.codes() == [31924]


@pytest.mark.parametrize("after_failure", [True, False])
@pytest.mark.parametrize(
    ("code", "stream"),
    [
        (31902, '<Stream url="ws://127.0.0.1:1/x"/>'),
        (31920, '<Stream url="{app}/in"/>'),
        (31920, '<Stream url="{media}/x?token=1"/>'),
        (31922, '<Stream url="https://example.com/x"/>'),
        (31922, '<Stream url="ws://example.com/x"/>'),
        (31923, '<Stream url="wss://[::1/x"/>'),
        (31923, '<Stream url="wss:///x"/>'),
        (31941, '<Stream url="{media}/x" track="both_tracks"/>'),
        (31910, '<Stream url="{tls}/x"/>'),
    ],
)
async def test_a_stream_that_cannot_begin_is_logged_and_the_call_goes_on(
    code: int, stream: str, *, after_failure: bool
) -> None:
    async with world(Variants(connect_action_after_failure=after_failure)) as here:
        noun = stream.format(
            app=here.app.base.replace("http", "ws"), media=here.media.url, tls=here.media.url.replace("ws:", "wss:")
        )
        here.app.answers |= {
            "/in": f'<Connect action="/ended">{noun}</Connect>{AFTER}',
            "/ended": "",
            "/next": "",
        }
        call = place(here)
        await over(call)
    assert here.carrier.debugger.codes(call.sid) == [code]
    assert here.app.asked[-1].path == ("/ended" if after_failure else "/next")
    assert here.media.messages == []


async def test_a_server_that_does_not_answer_the_handshake_is_31901() -> None:
    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, world(Variants(handshake_seconds=0.2)) as here:
        here.app.answers["/in"] = f'<Connect><Stream url="ws://127.0.0.1:{port}/x"/></Connect>'
        await over(place(here))
    assert here.carrier.debugger.codes() == [31901]


async def test_messages_twilio_would_not_take_are_each_warned_of_once_and_ignored() -> None:
    async def babble(media: Media) -> None:
        assert media.socket is not None
        for _ in range(2):
            await media.socket.send(b"\x00binary")
            await media.socket.send("not json")
            await media.send("media", media={"payload": "", "track": "x"})
        await media.mark("still here")

    async with world() as here:
        here.media.on_start = babble
        streaming(here)
        call = place(here)
        await here.media.until("mark")
        call.hang_up("caller")
    assert here.carrier.debugger.codes(call.sid) == [31950, 31951]
    assert {entry.severity for entry in here.carrier.debugger.entries} == {"warning"}


async def test_more_than_ten_minutes_of_queued_audio_is_31931() -> None:
    async def flood(media: Media) -> None:
        for _ in range(11):
            await media.say(audio.silence(60_000))
        await media.mark("end")

    async with world() as here:
        here.media.on_start = flood
        streaming(here)
        call = place(here)
        async with asyncio.timeout(GUARD):
            await call.open_line.until(lambda: bool(here.carrier.debugger.entries))
        call.hang_up("caller")
    assert here.carrier.debugger.codes() == [31931]


async def test_a_server_that_reads_too_slowly_is_31930_and_loses_audio() -> None:
    async with world() as here:
        streaming(here)
        call = place(here)
        await here.media.until("media")
        for _ in range(200):  # four seconds at once: nothing can be sent meanwhile
            call.open_line.tick()
        sent = await here.media.until("media", 102)
        call.hang_up("caller")
    assert here.carrier.debugger.codes() == [31930]
    chunks = [int(message["media"]["chunk"]) for message in sent]
    assert chunks == sorted(set(chunks))


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("action", [True, False])
async def test_an_update_takes_the_call_away_at_once(*, stop: bool, action: bool) -> None:
    async with world(Variants(stop_before_close=stop, action_on_update=action)) as here:
        streaming(here)
        here.app.answers["/ended"] = "<Say>never heard</Say>"
        call = place(here)
        await here.media.until("media")
        call.redirect(Inline("<Response><Say>Taken</Say></Response>"))
        await over(call)
        await here.media.until("(closed)")
        await here.carrier.stop()
    events = [message["event"] for message in here.media.messages]
    assert ("stop" in events) is stop
    assert [event["detail"] for event in call.events if event["what"] == "say"] == ["Taken"]
    assert len(here.app.of("/ended")) == action
    assert call.updates == 1


async def test_an_update_during_an_action_wins_or_is_lost() -> None:
    async def leave(media: Media) -> None:
        assert media.socket is not None
        await media.socket.close()

    for wins in (True, False):
        async with world(Variants(update_beats_action=wins)) as here:
            here.media.on_start = leave
            streaming(here)
            release = asyncio.Event()

            async def ended(_form: dict[str, str], release: asyncio.Event = release) -> str:
                await release.wait()
                return "<Say>Action</Say>"

            here.app.answers["/ended"] = ended
            call = place(here)
            await here.app.until("/ended")
            call.redirect(Inline("<Response><Say>Update</Say></Response>"))
            release.set()
            await over(call)
        assert [event["detail"] for event in call.events if event["what"] == "say"] == ["Update" if wins else "Action"]


async def test_the_stream_status_callback_tells_of_begin_end_and_error() -> None:
    async with world() as here:
        here.app.answers |= {
            "/in": f'<Connect><Stream name="ai" url="{here.media.url}/x" statusCallback="/status"/></Connect>'
            '<Connect><Stream url="https://example.com/x" statusCallback="/status"/></Connect>',
        }

        async def leave(media: Media) -> None:
            assert media.socket is not None
            await media.socket.close()

        here.media.on_start = leave
        call = place(here)
        await over(call)
        asked = await here.app.until("/status", 4)
    told = {(one.form["StreamEvent"], one.form["StreamName"] == "ai") for one in asked}
    assert told == {
        ("stream-started", True),
        ("stream-stopped", True),
        ("stream-error", True),
        ("stream-error", False),
    }
    assert all(one.valid and one.form["CallSid"] == call.sid for one in asked)
    assert all(("StreamError" in one.form) == (one.form["StreamEvent"] == "stream-error") for one in asked)


async def test_what_the_caller_hears_keeps_real_time_without_drift() -> None:
    async def speak(media: Media) -> None:
        await media.say(audio.tone([500], 1500))
        await media.mark("end")

    async with world() as here:
        here.media.on_start = speak
        streaming(here)
        call = place(here, Hears(1000))
        started = await here.media.until("start")
        begun = asyncio.get_running_loop().time()
        await here.media.until("mark")
        took = asyncio.get_running_loop().time() - begun
        call.hang_up("caller")
    assert started
    # Never early; how late depends on the machine.
    assert took > 1.4
    assert len(here.media.of("media")) >= 74
