"""The carrier's pure modules: signing, TwiML, messages, playout, and a line moved on by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Dial, Enqueue, Gather, VoiceResponse

from simulators import audio
from simulators.carrier import (
    HangsUp,
    Hears,
    Interrupts,
    Line,
    LineDropped,
    Listens,
    Says,
    ScriptedCaller,
    Variants,
    messages,
    playout,
    twiml,
)
from simulators.carrier.bridge import Wire
from simulators.carrier.callers import BadScript
from simulators.carrier.signing import sign, stream_url
from simulators.carrier.webhooks import Overrides

SID = "MZ" + "0" * 32


class TestSigning:
    def test_the_published_vector_is_reproduced(self) -> None:
        form = {
            "CallSid": "CA1234567890ABCDE",
            "Caller": "+14158675310",
            "Digits": "1234",
            "From": "+14158675310",
            "To": "+18005551212",
        }
        assert sign("12345", "https://example.com/myapp.php?foo=1&bar=2", form) == "L/OH5YylLD5NRKLltdqwSvS0BnU="

    @given(st.dictionaries(st.text(min_size=1), st.text()), st.text(min_size=1))
    def test_twilios_own_validator_accepts_what_is_signed_and_nothing_else(
        self, form: dict[str, str], token: str
    ) -> None:
        url = "https://example.com/voice/incoming?x=1"
        validator = RequestValidator(token)
        assert validator.validate(url, form, sign(token, url + "#rc=2", form))
        assert not validator.validate(url, form | {"Extra": "1"}, sign(token, url, form))

    @pytest.mark.parametrize(
        ("form", "url"),
        [
            ("plain", "wss://media.example.com/media/x"),
            ("slash", "wss://media.example.com/media/x/"),
            ("port", "wss://media.example.com:443/media/x"),
        ],
    )
    def test_each_variant_signs_its_own_form_of_the_stream_url(self, form: Any, url: str) -> None:
        assert stream_url("wss://media.example.com/media/x", Variants(signed_url=form)) == url

    def test_the_query_is_signed_as_it_stands(self) -> None:
        assert sign("t", "https://h/p?b=2&a=1") != sign("t", "https://h/p?a=1&b=2")


def every_verb() -> str:
    response = VoiceResponse()
    response.say("Hello", voice="alice", language="en-US", loop=1)
    response.play("https://example.com/a.wav")
    response.pause(length=1)
    gather = Gather(num_digits=1, action="https://example.com/g", finish_on_key="#", timeout=3, input="dtmf")
    gather.say("Press one")
    response.append(gather)
    response.record(max_length=10, play_beep=True, action="https://example.com/r")
    dial = Dial(action="https://example.com/d", timeout=20, time_limit=3600, answer_on_bridge=True, sequential=False)
    dial.number(
        "+15550100001",
        url="https://example.com/w",
        status_callback="https://example.com/s",
        status_callback_event="initiated ringing answered completed",
        machine_detection="Enable",
    )
    dial.client("support").parameter(name="a", value="b")
    dial.sip("sip:a@example.com", username="u", password="p")
    response.append(dial)
    response.dial("+15550100001")
    queue = Dial()
    queue.queue("support")
    response.append(queue)
    conference = Dial()
    conference.conference("room", start_conference_on_enter=True, wait_url="https://example.com/h")
    response.append(conference)
    connect = Connect(action="https://example.com/after")
    stream = connect.stream(url="wss://example.com/media/x", status_callback="https://example.com/st", name="s")
    stream.parameter(name="call_sid", value="CA1")
    response.append(connect)
    response.append(Enqueue("support", action="https://example.com/q", wait_url="https://example.com/h"))
    response.redirect("https://example.com/next", method="POST")
    response.reject(reason="busy")
    response.hangup()
    return str(response)


class TestTwiml:
    @pytest.mark.parametrize("url", ["", "https://example.com/voice"])
    def test_what_twilios_builder_makes_of_every_verb_is_accepted_without_warning(self, url: str) -> None:
        document = twiml.parse(every_verb(), url=url)
        assert document.warnings == ()
        assert [verb.name for verb in document.verbs][-3:] == ["Redirect", "Reject", "Hangup"]

    @pytest.mark.parametrize(
        ("code", "body"),
        [
            (12100, ""),
            (12100, "<Response>"),
            (12100, "hello"),
            (12100, '<!DOCTYPE r [<!ENTITY a "b">]><Response/>'),
            (12102, "<response/>"),
            (12200, "<Response><Fly/></Response>"),
            (12200, "<Response>text</Response>"),
            (12200, "<Response><Say>a</Say>text</Response>"),
            (12200, "<Response><Response/></Response>"),
            (12200, "<Response><Pause>1</Pause></Response>"),
            (12200, "<Response><Connect/></Response>"),
            (12200, "<Response><Connect><Say/></Connect></Response>"),
            (13215, "<Response><Dial><Say>hi</Say></Dial></Response>"),
            (13320, "<Response><Gather><Dial>+15550100001</Dial></Gather></Response>"),
            (12200, "<Response><Dial/></Response>"),
            (12200, '<Response><Dial answerOnBridge="yes">+15550100001</Dial></Response>'),
            (13212, '<Response><Dial timeout="4">+15550100001</Dial></Response>'),
            (13212, '<Response><Dial timeout="601">+15550100001</Dial></Response>'),
            (13212, '<Response><Dial timeout="1e1">+15550100001</Dial></Response>'),
            (13224, "<Response><Dial><Number>nobody</Number></Dial></Response>"),
            (13224, "<Response><Dial><Number>01234567890</Number></Dial></Response>"),
            (12200, "<Response><Dial>" + "<Number>+15550100001</Number>" * 11 + "</Dial></Response>"),
            (
                12200,
                '<Response><Dial><Number statusCallbackEvent="rang">+15550100001</Number></Dial></Response>',
            ),
            (11100, "<Response><Redirect/></Response>"),
            (15004, '<Response><Dial action="/done">+15550100001</Dial></Response>'),
            (15004, "<Response><Redirect>/next</Redirect></Response>"),
            (
                12200,
                '<Response><Connect><Stream url="wss://h/x"><Parameter name="n" value="'
                + "v" * 499
                + '"/></Stream></Connect></Response>',
            ),
            (11750, "<Response><Say>" + "a" * 65536 + "</Say></Response>"),
        ],
    )
    def test_what_twilio_refuses_is_refused_with_its_code(self, code: int, body: str) -> None:
        with pytest.raises(twiml.Malformed) as refused:
            twiml.parse(body)
        assert refused.value.code == code

    def test_a_relative_url_is_fine_in_a_document_that_was_fetched(self) -> None:
        document = twiml.parse('<Response><Dial action="/done">+15550100001</Dial></Response>', url="https://h/voice")
        assert document.verbs[0].get("action") == "/done"

    def test_an_unknown_attribute_is_a_warning_and_is_dropped(self) -> None:
        document = twiml.parse('<Response><Hangup colour="red"/></Response>')
        assert document.warnings == ("<Hangup> has no attribute colour",)
        assert document.verbs[0].attributes == {}

    def test_the_text_of_ssml_is_spoken(self) -> None:
        document = twiml.parse("<Response><Say>One <break time='1s'/><emphasis>two</emphasis> three</Say></Response>")
        assert document.verbs[0].text == "One two three"

    @given(st.text() | st.binary())
    def test_no_body_whatever_does_anything_but_parse_or_be_refused(self, body: str | bytes) -> None:
        with pytest.raises(twiml.Malformed):
            twiml.parse(body)

    @given(
        st.lists(
            st.sampled_from(
                ["<Say>", "</Say>", "<Dial>", "</Dial>", "<Number>", "</Number>", "+15550100001", "<Hangup/>"]
            )
        )
    )
    def test_every_jumble_of_tags_parses_or_is_refused(self, tags: list[str]) -> None:
        try:
            document = twiml.parse("<Response>" + "".join(tags) + "</Response>")
        except twiml.Malformed:
            return
        assert {verb.name for verb in document.verbs} <= {"Say", "Dial", "Hangup"}


def server_message(event: str, **body: Any) -> str:
    return json.dumps({"event": event, "streamSid": SID, **body})


class TestMessages:
    def test_the_three_messages_of_a_server_are_read(self) -> None:
        payload = base64.b64encode(b"\x00\xff").decode()
        assert messages.read(server_message("media", media={"payload": payload}), SID) == messages.Media(b"\x00\xff")
        assert messages.read(server_message("mark", mark={"name": "m"}), SID) == messages.Mark("m")
        assert messages.read(server_message("clear"), SID) == messages.Clear()

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (31950, b"\x00"),
            (31950, server_message("media", media={"payload": "not base64!"})),
            (31951, "hello"),
            (31951, "[" * 100_000),
            (31951, "[]"),
            (31951, "null"),
            (31951, server_message("stop")),
            (31951, json.dumps({"event": ["media"]})),
            (31951, json.dumps({"event": "clear"})),
            (31951, json.dumps({"event": "clear", "streamSid": "MZother"})),
            (31951, server_message("clear", sequenceNumber="1")),
            (31951, server_message("mark")),
            (31951, server_message("mark", mark="m")),
            (31951, server_message("mark", mark={"name": 1})),
            (31951, server_message("media", media={"payload": "", "track": "outbound"})),
        ],
    )
    def test_what_twilio_warns_of_is_refused_with_its_code(self, code: int, message: str | bytes) -> None:
        with pytest.raises(messages.Refused) as refused:
            messages.read(message, SID)
        assert refused.value.code == code

    @given(
        st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps)
    )
    def test_anything_else_is_refused_and_nothing_else_happens(self, message: str) -> None:
        with pytest.raises(messages.Refused):
            messages.read(message, SID)

    def test_counters_are_strings_and_fields_stand_in_the_documented_order(self) -> None:
        writer = messages.Writer(account_sid="AC1", call_sid="CA1", stream_sid=SID)
        start = json.loads(writer.start({"visit": "1"}))
        assert list(start) == ["event", "sequenceNumber", "streamSid", "start"]
        assert list(start["start"]) == [
            "accountSid",
            "callSid",
            "streamSid",
            "tracks",
            "mediaFormat",
            "customParameters",
        ]
        assert start["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        media = [json.loads(writer.media(audio.silence(20))) for _ in range(3)]
        assert list(media[0]) == ["event", "sequenceNumber", "streamSid", "media"]
        assert list(media[0]["media"]) == ["track", "chunk", "timestamp", "payload"]
        assert [(m["sequenceNumber"], m["media"]["chunk"], m["media"]["timestamp"]) for m in media] == [
            ("2", "1", "0"),
            ("3", "2", "20"),
            ("4", "3", "40"),
        ]
        assert json.loads(writer.dtmf("5"))["dtmf"] == {"track": "inbound_track", "digit": "5"}
        assert json.loads(writer.mark("m"))["mark"] == {"name": "m"}
        stop = json.loads(writer.stop())
        assert (stop["sequenceNumber"], stop["stop"]) == ("7", {"accountSid": "AC1", "callSid": "CA1"})


class TestPlayout:
    def test_a_mark_comes_back_when_all_before_it_has_been_played(self) -> None:
        queue = playout.Playout()
        queue.media(bytes(320))
        assert queue.mark("end") == []
        assert queue.frame() == (bytes(160), [])
        assert queue.frame() == (bytes(160), ["end"])

    def test_a_mark_on_an_empty_queue_comes_back_at_once(self) -> None:
        assert playout.Playout().mark("now") == ["now"]

    def test_clear_empties_the_queue_and_brings_every_mark_back(self) -> None:
        queue = playout.Playout()
        queue.media(bytes(320))
        queue.mark("a")
        queue.mark("b")
        assert queue.clear() == ["a", "b"]
        assert queue.frame() == (b"", [])

    def test_ten_minutes_and_not_a_byte_more_are_queued(self) -> None:
        queue = playout.Playout()
        assert queue.media(bytes(playout.QUEUE_LIMIT_BYTES))
        assert not queue.media(b"\x00")
        assert queue.queued == playout.QUEUE_LIMIT_BYTES

    @given(st.lists(st.integers(0, 700) | st.sampled_from(["mark", "clear", "frame"])))
    def test_every_mark_comes_back_once_in_order_and_no_more_is_played_than_was_sent(self, script: list[Any]) -> None:
        queue, placed, echoed, sent, played = playout.Playout(), 0, [], 0, 0
        for step in script:
            if step == "mark":
                echoed += queue.mark(str(placed))
                placed += 1
            elif step == "clear":
                echoed += queue.clear()
            elif step == "frame":
                sound, names = queue.frame()
                played += len(sound)
                echoed += names
            else:
                queue.media(bytes(step))
                sent += step
            assert played + queue.queued <= sent
        echoed += queue.clear()
        assert echoed == [str(position) for position in range(placed)]


async def ticks(line: Line, count: int) -> None:
    for _ in range(count):
        line.tick()
        await asyncio.sleep(0)


class TestLine:
    async def test_mouth_and_ear_are_as_long_as_each_other_and_as_time(self) -> None:
        line = Line()
        said = asyncio.ensure_future(line.say(audio.tone([500], 50)))
        await asyncio.sleep(0)
        with line.connect(source=lambda: b"\x00" * 10):
            await ticks(line, 5)
        assert said.done()
        assert len(line.mouth) == len(line.ear) == 5 * 160
        assert audio.level(bytes(line.mouth[:400])) > -20
        assert bytes(line.mouth[400:]) == audio.silence(50)
        assert bytes(line.ear[:160]) == b"\x00" * 10 + b"\xff" * 150

    async def test_quiet_waits_for_sound_first_and_then_for_its_end(self) -> None:
        line = Line()
        quiet = asyncio.ensure_future(line.quiet(100))
        await asyncio.sleep(0)
        await ticks(line, 20)
        assert not quiet.done()
        with line.connect(source=lambda: audio.tone([500], 20)):
            await ticks(line, 3)
        await ticks(line, 4)
        assert not quiet.done()
        await ticks(line, 2)
        assert quiet.done()

    async def test_ringing_before_the_answer_is_recorded_but_taken_for_nobody(self) -> None:
        for counts in (False, True):
            line = Line()
            hears = asyncio.ensure_future(line.hears(20))
            await asyncio.sleep(0)
            with line.connect(source=lambda: audio.tone([440, 480], 20), counts=counts):
                await ticks(line, 2)
            assert hears.done() is counts
            assert audio.level(bytes(line.ear)) > -20
            hears.cancel()

    async def test_hears_counts_sound_from_now_on(self) -> None:
        line = Line()
        with line.connect(source=lambda: audio.tone([500], 20)):
            await ticks(line, 10)
            hears = asyncio.ensure_future(line.hears(60))
            await asyncio.sleep(0)
            await ticks(line, 2)
            assert not hears.done()
            await ticks(line, 2)
        assert hears.done()

    async def test_whoever_waits_when_the_line_drops_is_told(self) -> None:
        line = Line()
        waits = [asyncio.ensure_future(wait) for wait in (line.quiet(10), line.say(bytes(160)), line.hears(5))]
        await asyncio.sleep(0)
        line.drop()
        for wait in waits:
            with pytest.raises(LineDropped):
                await wait
        with pytest.raises(LineDropped):
            await line.press("1")

    async def test_the_inner_connection_counts_and_the_outer_one_returns(self) -> None:
        line = Line()
        keys: list[str] = []
        with line.connect(source=lambda: b"\x01" * 160, keys=keys.append):
            with line.connect(source=lambda: b"\x02" * 160):
                line.tick()
                pressing = asyncio.ensure_future(line.press("1"))
                await asyncio.sleep(0)
            line.tick()
        line.tick()
        pressing.cancel()
        assert keys == ["1"]
        assert bytes(line.ear) == b"\x02" * 160 + b"\x01" * 160 + b"\xff" * 160

    async def test_keys_are_heard_only_where_the_carrier_makes_them_heard(self) -> None:
        for audible in (False, True):
            line = Line(dtmf_audible=audible)
            pressing = asyncio.ensure_future(line.press("0"))
            await asyncio.sleep(0)
            await ticks(line, 15)
            assert pressing.done()
            assert (audio.level(bytes(line.mouth)) > -30) is audible

    @settings(max_examples=50)
    @given(st.lists(st.booleans(), max_size=60))
    def test_a_wire_gives_back_what_was_put_in_in_order_and_never_holds_much(self, pushes: list[bool]) -> None:
        wire, pushed, pulled = Wire(), 0, []
        for push in pushes:
            if push:
                pushed += 1
                wire.push(str(pushed).encode())
            elif frame := wire.pull():
                pulled.append(int(frame))
        assert pulled == sorted(set(pulled))
        assert len(pulled) <= pushed


class TestCallers:
    async def test_steps_are_taken_one_after_another(self) -> None:
        line = Line()
        hung_up: list[int] = []

        def hang_up() -> None:
            hung_up.append(line.ms)
            line.drop()

        line.hung_up = hang_up
        script = ScriptedCaller(
            [Listens(40), Says(audio.tone([500], 40)), Hears(20), Interrupts(40, audio.tone([600], 20)), HangsUp()]
        )
        living = asyncio.ensure_future(script(line))
        await asyncio.sleep(0)
        with line.connect(source=lambda: audio.tone([300], 20)):
            await ticks(line, 5)
        await ticks(line, 10)
        with line.connect(source=lambda: audio.tone([300], 20)):
            await ticks(line, 20)
        with pytest.raises(LineDropped):
            await living
        assert len(hung_up) == 1
        assert len(bytes(line.mouth).replace(b"\xff", b"")) > 300

    def test_a_caller_can_be_data(self) -> None:
        steps = [{"listen": 800}, {"interrupt": {"after_ms": 200, "say": "Stop"}}, "person", {"press": 0}, "hang_up"]
        caller = ScriptedCaller.from_data(steps)
        assert caller.steps[0] == Listens(800)
        assert caller.steps[1] == Interrupts(200, "Stop")
        assert caller.steps[-1] == HangsUp()

    @pytest.mark.parametrize("step", ["fly", {"shout": 1}, {}, {"interrupt": "x"}, 7, {"wait": "x"}])
    def test_a_step_that_is_none_is_named(self, step: Any) -> None:
        with pytest.raises(BadScript, match="step 1"):
            ScriptedCaller.from_data(["person", step])


class TestOverrides:
    def test_without_a_fragment_the_documented_defaults_hold(self) -> None:
        assert Overrides.of("https://h/p") == Overrides(5.0, 15.0, 15.0, 1, frozenset({"ct"}))

    def test_a_fragment_overrides_within_its_ranges(self) -> None:
        given_ones = Overrides.of("https://h/p#ct=50&rt=1000&tt=99999&rc=9&rp=ct,5xx")
        assert given_ones == Overrides(0.1, 1.0, 15.0, 5, frozenset({"ct", "5xx"}))

    @given(st.text())
    def test_any_fragment_is_read_without_harm(self, fragment: str) -> None:
        assert 0 <= Overrides.of(f"https://h/p#{fragment}").retries <= 5
