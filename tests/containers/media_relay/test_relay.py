"""Whole visits through the real server and real sockets: the model and Twilio as they should be, and as they fail."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection

from containers.media_relay import actions, departure, effects, media_streams, realtime, relay
from containers.media_relay.backlog import MOST_PERISHABLE
from containers.media_relay.names import Names
from containers.media_relay.silence import PATIENCE, Turn, Watch
from containers.media_relay.websocket import Closed, Limits
from containers.media_relay.websocket_server import ServerWebSocket
from contracts import events
from contracts.row import Row
from contracts.transfer import Reason
from tests.containers.media_relay.house import GUARD, OPENAI_KEY, House, Phone, house
from tests.containers.media_relay.worlds import STREAM_SID, audio, session
from tests.contracts.table import FakeTable


def row_of(home: House, phone: Phone) -> Row:
    row = home.ledger.read(phone.call_sid)
    assert row is not None
    return row


async def silent(_connection: ServerConnection, _event: dict[str, Any]) -> None:
    """What a model does that does not answer."""


async def queued(home: House) -> dict[str, Any]:
    await home.logged(events.HANDOFF_QUEUED)
    (request,) = home.queue.sent
    return request


async def test_the_agent_greets_first_and_once_and_audio_passes_both_ways_unchanged() -> None:
    async with house() as home:
        async with home.phone() as phone:
            await phone.start()
            said = await phone.hear("media")
            assert said["media"]["payload"] == audio(1600)
            await phone.hear("mark")
            await phone.speak()
            (heard,) = await home.model.told("input_audio_buffer.append")
            assert heard["audio"] == audio(160)
        await home.empty()
        assert len(home.model.of("response.create")) == 1
        assert "Greet the caller" in home.model.of("response.create")[0]["response"]["instructions"]
        assert home.model.events[0]["type"] == "session.update"
        row = row_of(home, phone)
        assert row.stream.stream_sid == STREAM_SID
        assert [turn.text for turn in row.conversation] == ["canary words of the agent"]
        assert row.spent == pytest.approx(5 * 4 / 1e6)
        assert home.model.headers[0].headers["Authorization"] == f"Bearer {OPENAI_KEY}"
        assert home.model.headers[0].path.endswith("?model=gpt-realtime-2.1")
        assert "OpenAI-Beta" not in home.model.headers[0].headers


async def test_the_models_socket_closes_with_the_call() -> None:
    async with house() as home:
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("media")
        async with asyncio.timeout(GUARD):
            await home.model.connections[0].wait_closed()
        assert home.model.connections[0].close_code == 1000


async def test_a_transfer_is_announced_heard_and_then_queued_once() -> None:
    async with house() as home, home.phone() as phone:
        home.model.call_next("transfer_to_person", destination="billing", summary="charged twice")
        await phone.start()
        request = await queued(home)
        assert (request["destination"], request["summary"], request["reason"]) == (
            "billing",
            "charged twice",
            Reason.CALLER_ASKED,
        )
        assert home.of(events.HANDOFF_ANNOUNCED)[0]["how"] == "heard"
        assert home.of(events.HANDOFF_QUEUED)[0]["request_id"] == request["request_id"]
        outputs = [event for event in home.model.of("conversation.item.create") if "output" in event["item"]]
        assert len(outputs) == 1
        row = row_of(home, phone)
        assert row.open_transfer is not None
        assert row.open_transfer.request.request_id == request["request_id"]
        await phone.hear("media")  # ringing
        await phone.send("stop", stop={})
        assert (await phone.closed())[0] == 1000


async def test_R15_a_stream_that_is_lost_amid_the_announcement_leaves_the_request_in_the_ledger() -> None:
    async with house() as home:
        respond = home.model.on["response.create"]

        async def once(connection: ServerConnection, event: dict[str, Any]) -> None:
            home.model.on["response.create"] = silent
            await respond(connection, event)

        home.model.on["response.create"] = once
        async with home.phone() as phone:
            home.model.call_next("transfer_to_person", destination="billing", summary="charged twice")
            await phone.start()
            await home.logged(events.HANDOFF_ASKED)
        await home.empty()
        assert not home.queue.sent, "nothing was heard yet"
        row = row_of(home, phone)
        assert row.open_transfer is not None, "who died here, with the stream, has told the webhook"
        assert row.open_transfer.request.destination == "billing"


async def test_key_zero_asks_for_a_person_without_the_model() -> None:
    async with house() as home, home.phone() as phone:
        home.model.on = {"session.update": silent}
        await phone.start()
        await phone.send("dtmf", dtmf={"track": "inbound_track", "digit": "0"})
        request = await queued(home)
        assert (request["destination"], request["reason"]) == ("reception", Reason.CALLER_PRESSED_KEY)


async def test_a_caller_who_is_not_taken_away_gets_the_stream_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "TAKE_AWAY_SECONDS", 0.05)
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.send("dtmf", dtmf={"digit": "0"})
        assert await phone.closed() == (1000, "not_taken_away")
        await home.empty()
        assert row_of(home, phone).stream.ended_reason == "not_taken_away"


async def test_the_agents_goodbye_is_in_the_ledger_before_the_stream_ends() -> None:
    async with house() as home, home.phone() as phone:
        home.model.call_next("end_call", reason="all said")
        await phone.start()
        assert await phone.closed() == (1000, "agent_ended")
        assert row_of(home, phone).agent_ended == "all said"
        assert row_of(home, phone).stream.ended_reason == "agent_ended"


# ---- the model fails -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "tries"), [(401, 1), (403, 1), (404, 1), (429, 2), (500, 2)])
async def test_R1_a_model_that_refuses_is_tried_again_if_that_can_help_and_then_a_person_takes_over(
    status: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.0)
    async with house() as home, home.phone() as phone:
        home.model.refuse = HTTPStatus(status)
        await phone.start()
        request = await queued(home)
        assert (request["destination"], request["reason"]) == ("reception", Reason.AGENT_UNAVAILABLE)
        assert len(home.model.headers) == tries
        assert home.of(events.MODEL_FAILED)[0]["code"] == status


async def test_R2_a_model_that_is_never_ready_is_given_up_while_the_caller_hears_ringing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PATIENCE, Turn.MODEL, 0.05)
    async with house() as home, home.phone() as phone:
        home.model.on = {}
        await phone.start()
        assert (await queued(home))["reason"] == Reason.AGENT_UNAVAILABLE
        async with asyncio.timeout(GUARD):
            await home.model.connections[0].wait_closed()


async def test_R2_a_model_that_answers_after_it_was_given_up_is_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PATIENCE, Turn.MODEL, 0.05)
    async with house() as home:
        home.model.answers.clear()
        async with home.phone() as phone:
            await phone.start()
            await queued(home)
            home.model.answers.set()
            await phone.hear("media")
        await home.empty()
        assert not home.of(events.MODEL_CONNECTED)
        assert not home.model.of("session.update")
        assert all(connection.close_code is not None for connection in home.model.connections)


async def test_a_session_that_is_not_mu_law_gets_no_audio_and_the_caller_a_person() -> None:
    async with house() as home, home.phone() as phone:
        home.model.formats = ("audio/pcmu", "audio/pcm")
        await phone.start()
        assert (await queued(home))["reason"] == Reason.AGENT_UNAVAILABLE
        await phone.speak()
        await phone.hear("media")
        assert not home.model.of("input_audio_buffer.append")


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_R3_a_model_that_closes_in_mid_call_comes_back_within_the_visit(code: int) -> None:
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        await home.model.connections[0].close(code, "session limit")
        resumed = await home.logged(events.MODEL_RESUMED)
        assert home.of(events.MODEL_FAILED)[0]["code"] == code
        assert (resumed["why"], resumed["turns"]) == ("lost", 1)
        await phone.speak()
        await home.model.told("input_audio_buffer.append")
        assert home.model.of("conversation.item.create")[0]["item"]["content"][0]["text"] == "canary words of the agent"
        assert (len(home.model.connections), home.queue.sent) == (2, [])
        assert row_of(home, phone).open_transfer is None


async def test_R3_a_model_that_refuses_to_come_back_gives_way_to_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.0)
    for status, tries in ((HTTPStatus.TOO_MANY_REQUESTS, relay.TRIES_AGAIN), (HTTPStatus.UNAUTHORIZED, 1)):
        async with house() as home, home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            home.model.refuse = status
            await home.model.connections[0].close(1011)
            assert (await queued(home))["reason"] == Reason.AGENT_UNAVAILABLE
            assert len(home.model.headers) == 1 + tries
            await phone.hear("media")  # ringing


async def test_a_model_that_closes_without_a_word_is_reported_by_who_closed() -> None:
    async with house() as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        await home.model.connections[0].close(1000)
        await home.logged(events.MODEL_FAILED)
        assert home.of(events.MODEL_FAILED)[0]["why"] == "closed by peer"


# ---- malformed frames ------------------------------------------------------------------------------------------------


async def test_malformed_frames_are_counted_told_once_per_kind_and_the_call_goes_on() -> None:
    async with house() as home:
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            for text in ("{", "[]", "[" * 5000, '{"event":"sing"}', '{"event":"media"}', "9" * 5000):
                for _ in range(3):
                    await phone.socket.send(text)
                    await home.model.connections[0].send(text)
            await home.model.connections[0].send('{"type":"response.output_audio.delta"}')
            await phone.speak()
            await home.model.told("input_audio_buffer.append")
            await home.model.say("error", error={"type": "t", "code": "c", "message": "m", "event_id": None})
            await home.logged(events.MODEL_ERROR)
        await home.empty()
        kinds = [line["kind"] for line in home.of(events.FRAME_MALFORMED)]
        assert len(kinds) == len(set(kinds))
        assert {kind.partition(".")[0] for kind in kinds} == {"twilio", "model"}
        (dropped,) = home.of(events.FRAMES_DROPPED)
        assert (dropped["malformed"], dropped["congested"]) == (37, 0)


async def test_R13_of_audio_for_a_model_that_stands_still_the_latest_arrives_and_the_rest_is_counted() -> None:
    reads_on = asyncio.Event()
    frames = [base64.b64encode(number.to_bytes(2) * 80).decode() for number in range(1000)]

    async def stand_still(_connection: ServerConnection, _event: dict[str, Any]) -> None:
        await reads_on.wait()

    async with house() as home:
        home.model.on["input_audio_buffer.append"] = stand_still
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            for payload in frames:
                await phone.send(
                    "media", media={"track": "inbound", "chunk": "1", "timestamp": "2", "payload": payload}
                )
            await phone.send("dtmf", dtmf={"digit": "5"})
            await home.logged(events.KEY_PRESSED)
            reads_on.set()
            await home.model.told("conversation.item.create")  # the key, which comes after all of it
        await home.empty()
        heard = [event["audio"] for event in home.model.of("input_audio_buffer.append")]
        assert (heard[0], heard[-MOST_PERISHABLE:]) == (frames[0], frames[-MOST_PERISHABLE:])
        assert heard == sorted(heard, key=frames.index)
        (dropped,) = home.of(events.FRAMES_DROPPED)
        assert (dropped["malformed"], dropped["congested"]) == (0, len(frames) - len(heard))
        assert dropped["congested"] > 0


async def test_R13_a_model_that_reads_misses_nothing() -> None:
    async with house() as home:
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            for heard in range(20, 401, 20):
                for _ in range(20):
                    await phone.speak()
                await home.model.told("input_audio_buffer.append", heard)
        await home.empty()
        assert not home.of(events.FRAMES_DROPPED)


# ---- ledger and queue fail -------------------------------------------------------------------------------------------


async def test_R17_a_queue_that_fails_ends_the_stream_and_the_ledger_holds_the_request() -> None:
    async with house() as home, home.phone() as phone:
        home.queue.failure = ConnectionError("canary-secret")
        await phone.start()
        await phone.send("dtmf", dtmf={"digit": "0"})
        assert await phone.closed() == (1000, "transfer_not_queued")
        assert row_of(home, phone).open_transfer is not None
        assert home.of(events.HANDOFF_FAILED)[0]["why"] == "the queue failed"
        assert "canary-secret" not in repr(home.lines)


async def test_R17_a_request_that_neither_queue_nor_ledger_takes_is_insisted_on() -> None:
    table = FakeTable()
    async with house(table=table) as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        home.queue.failure = table.failure = ConnectionError("away for a moment")
        await phone.send("dtmf", dtmf={"digit": "0"})
        await home.logged(events.EFFECT_FAILED)
        home.queue.failure = table.failure = None
        assert (await queued(home))["reason"] == Reason.CALLER_PRESSED_KEY
        assert len({request["request_id"] for request in home.queue.sent}) == 1


async def test_R17_queue_and_ledger_that_fail_end_the_stream_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "INSIST_SECONDS", 0.0)
    table = FakeTable()
    async with house(table=table) as home, home.phone() as phone:
        await phone.start()
        await phone.hear("mark")
        home.queue.failure = table.failure = ConnectionError("canary-secret")
        await phone.send("dtmf", dtmf={"digit": "0"})
        assert await phone.closed() == (1000, "transfer_not_queued")
        assert home.of(events.HANDOFF_FAILED)[0]["why"] == "queue and ledger failed"


async def test_a_ledger_that_fails_does_not_disturb_the_call() -> None:
    table = FakeTable()
    async with house(table=table) as home:
        async with home.phone() as phone:
            table.failure = RuntimeError("down")
            await phone.start()
            await phone.hear("mark")
            await phone.speak()
            await home.model.told("input_audio_buffer.append")
        await home.empty()
        assert {line["effect"] for line in home.of(events.EFFECT_FAILED)} >= {"stream_started", "stream_ended"}


# ---- what is logged --------------------------------------------------------------------------------------------------


async def test_S12_S13_no_secret_number_key_or_word_is_logged_and_nothing_per_frame() -> None:
    async with house() as home:
        home.model.call_next("transfer_to_person", destination="+15550109999", summary="canary summary")
        async with home.phone() as phone:
            await phone.start()
            await phone.hear("mark")
            for _ in range(200):
                await phone.speak()
            await phone.send("dtmf", dtmf={"digit": "7"})
            await home.model.say(
                "conversation.item.input_audio_transcription.completed", item_id="i", transcript="canary"
            )
            await queued(home)
        await home.empty()
        text = json.dumps(home.lines)
        assert "canary" not in text
        assert "+1555" not in text
        assert '"7"' not in text
        assert len(home.lines) < 40
        assert home.queue.sent[0]["summary"] == "canary summary"  # the control: it was there to be logged


# ---- what cannot be, and what comes too late -------------------------------------------------------------------------


class FakeStream:
    """A socket that remembers."""

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class FakeEffects:
    """Effects that are done at once and remember nothing but the end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def stream_ended(self, why: str) -> None:
        self.ended.append(why)

    def settled(self, then: Callable[[], None]) -> None:
        then()


def nowhere() -> relay.ModelAddress:
    return relay.ModelAddress("ws://127.0.0.1:1/v1/realtime", "m", "k", None, asyncio.Semaphore(), Names())


def lone_relay() -> tuple[relay.Relay, FakeEffects, list[str]]:
    effects, lines = FakeEffects(), list[str]()
    made = relay.Relay(
        session(asyncio.get_running_loop().time()),
        effects,  # type: ignore[arg-type]
        nowhere,
        lambda event, _: lines.append(event.name),
        lambda _: lines.append("end"),
    )
    return made, effects, lines


async def test_a_session_that_fails_ends_its_call_and_leaves_nothing_behind() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    for stream in (FakeStream(), None):
        one, effects, lines = lone_relay()
        one._stream = stream  # type: ignore[assignment]
        del one._session.watch  # whatever it was, it is broken now
        one._tell(actions.Tick())
        assert stream is None or stream.aborted
        assert lines == ["effect.failed"]
        one.connection_lost(Closed(1006, "", "us"))
        assert (effects.ended, lines[-1]) == (["never_started"], "end") or effects.ended == ["us"]
    assert len(reported) >= 2


async def test_S12_S13_a_session_that_fails_is_reported_without_what_was_said_or_heard() -> None:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
    for event in (
        realtime.CallerTranscript("item", "canary"),
        realtime.FunctionCall("call", "canary", "canary"),
        media_streams.Dtmf("canary", "7"),
    ):
        one, _, _ = lone_relay()
        del one._session.watch
        one._tell(event)
        one.end()
    assert reported
    assert "canary" not in "".join(reported)


async def test_actions_for_sockets_that_are_not_there_are_dropped() -> None:
    one, _, _ = lone_relay()
    for action in (
        media_streams.Clear(STREAM_SID),
        realtime.Append(audio(160)),
        realtime.CancelResponse("r"),
        actions.ConnectModel(),
        actions.CloseModel(),
        actions.CloseStream("why"),
    ):
        one._perform(action)
    one._model_lost(ServerWebSocket(limits=Limits(), on_request=lambda *_: None), Closed(1000, "", "us"))


async def test_a_timer_that_fires_before_its_deadline_waits_on() -> None:
    one, _, lines = lone_relay()
    one._time_passed()
    assert one._timer is not None
    assert one._timer_at == one._session.deadline
    one._arm()
    earlier = one._session.watch = Watch(Turn.START, one._session.deadline - 1)
    one._arm()
    assert one._timer_at == earlier.at
    assert lines == []
    one.end()


def test_a_deadline_that_is_due_already_is_met_on_the_images_event_loop_too() -> None:
    async def overslept() -> list[str]:
        one, _, lines = lone_relay()
        one._session.watch = Watch(Turn.START, one._loop.time())
        one._arm()
        one._tell(actions.TransferQueued())  # something comes in between
        return lines

    lines = uvloop.run(overslept())
    assert lines
    assert "effect.failed" not in lines
