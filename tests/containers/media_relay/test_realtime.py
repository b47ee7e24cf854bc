"""The model's events on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

from containers.media_relay import realtime, realtime_encoding
from containers.media_relay.realtime import FunctionCall, ProtocolError, ResponseDone, SessionUpdated, Usage
from tests.containers.media_relay.house import extras
from tests.containers.media_relay.worlds import brief

_client_event: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
CALL = {"type": "function_call", "status": "completed", "call_id": "c", "name": "n", "arguments": "{}"}


def read(kind: str, **fields: Any) -> object:
    return realtime.decode(json.dumps({"type": kind, "event_id": "e", **fields}).encode())


def updated(first: object, second: object) -> object:
    return read("session.updated", session={"audio": {"input": {"format": first}, "output": {"format": second}}})


MU_LAW, PCM = {"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize(
    ("got", "event"),
    [
        (updated(MU_LAW, MU_LAW), SessionUpdated(mu_law=True)),
        (updated(MU_LAW, PCM), SessionUpdated(mu_law=False)),
        (updated(None, MU_LAW), SessionUpdated(mu_law=False)),
        (read("session.updated", session={}), SessionUpdated(mu_law=False)),
        (read("input_audio_buffer.speech_started", item_id="i"), realtime.SpeechStarted("i")),
        (read("input_audio_buffer.speech_stopped", item_id="i"), realtime.SpeechStopped("i")),
        (
            read("conversation.item.input_audio_transcription.completed", item_id="i", transcript="t"),
            realtime.CallerTranscript("i", "t"),
        ),
        (
            read("response.output_audio_transcript.done", item_id="i", transcript="t"),
            realtime.AgentTranscript("i", "t"),
        ),
        (read("response.created", response={"id": "r"}), realtime.ResponseCreated("r")),
        (
            read("response.output_audio.delta", response_id="r", item_id="i", delta="/w=="),
            realtime.AudioDelta("r", "i", "/w=="),
        ),
        (
            read("response.function_call_arguments.done", call_id="c", name="n", arguments="{}"),
            FunctionCall("c", "n", "{}"),
        ),
        (read("response.output_item.done", item=CALL), FunctionCall("c", "n", "{}")),
        (read("response.output_item.done", item=CALL | {"status": None, "name": None}), FunctionCall("c", "", "{}")),
        (read("response.output_item.done", item=CALL | {"status": "incomplete"}), None),
        (read("response.output_item.done", item=CALL | {"call_id": None}), None),
        (read("response.output_item.done", item={"type": "message"}), None),
        (read("error", error={"type": "t", "code": None, "event_id": None}), realtime.Error("", "t", "")),
        (read("error", error={"type": None, "code": "c", "event_id": "e"}), realtime.Error("c", "", "e")),
        (read("rate_limits.updated", rate_limits=[]), None),
        (read("never.heard.of"), None),
    ],
)
def test_the_events_a_relay_needs_are_read_and_others_are_ignored(got: object, event: object) -> None:
    assert got == event


def test_the_end_of_a_response_says_how_it_went_what_it_calls_and_what_it_cost() -> None:
    usage = {
        "input_tokens": 5,
        "output_tokens": 4,
        "input_token_details": {"audio_tokens": 3, "cached_tokens": 2},
        "output_token_details": {"audio_tokens": 1},
    }
    got = read(
        "response.done",
        response={"id": "r", "status": "completed", "output": [CALL, {"type": "message"}], "usage": usage},
    )
    assert got == ResponseDone("r", "completed", "", (FunctionCall("c", "n", "{}"),), Usage(5, 4, 3, 1, 2))
    bare = {"id": "r", "status": None, "output": None, "usage": None, "status_details": None}
    assert read("response.done", response=bare) == ResponseDone("r", "completed")


@pytest.mark.parametrize("tokens", [10**400, 10**10, -5])
def test_S18_a_count_that_cannot_be_counts_as_none_and_the_response_is_over(tokens: int) -> None:
    details = {"audio_tokens": tokens, "cached_tokens": tokens}
    usage = {"input_tokens": tokens, "output_tokens": tokens, "input_token_details": details}
    got = read("response.done", response={"id": "r", "usage": usage | {"output_token_details": details}})
    assert got == ResponseDone("r", "completed")


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"reason": "turn_detected"}, "turn_detected"),
        ({"error": {"type": "server_error", "code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
        ({"error": {"type": "server_error", "code": None}}, "server_error"),
    ],
)
def test_why_a_response_ended_is_told_in_a_word(details: dict[str, Any], why: str) -> None:
    got = read("response.done", response={"id": "r", "status": "failed", "status_details": details})
    assert got == ResponseDone("r", "failed", why)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "json"),
        (b"[" * 5000, "fields"),
        (b'{"type":"error","x":' + b"[" * 5000, "json"),
        (b"[]", "fields"),
        (b'{"type":5}', "fields"),
        (b'{"type":"response.done"}', "fields"),
        (b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"\\u0022"}', "audio"),
        (b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"/w="}', "audio"),
    ],
)
def test_S18_what_the_protocol_does_not_allow_is_refused_by_kind(text: bytes, kind: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        realtime.decode(text)
    assert refused.value.kind == kind


_json = st.recursive(
    st.none() | st.booleans() | st.text() | st.floats(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(
    st.sampled_from([*realtime._DECODERS]),
    st.dictionaries(st.sampled_from(["response", "item", "error", "delta"]), _json),
)
def test_S18_any_json_is_read_or_refused_and_nothing_else(kind: str, fields: dict[str, Any]) -> None:
    kind = "read"
    try:
        read(kind, **fields)
    except ProtocolError as refused:
        kind = refused.kind
    assert kind in {"read"} | {"json", "fields", "audio"}


def test_every_event_that_is_sent_is_one_of_the_vendors_with_no_field_too_many() -> None:
    for event in (
        realtime.UpdateSession(brief().session),
        realtime.Append("/w=="),
        realtime.CreateResponse("rc_1"),
        realtime.CreateResponse("rc_2", "Say hello.", use_tools=False),
        realtime.CancelResponse("resp_1"),
        realtime.Truncate("item_1", 40),
        realtime.CreateItem("user", "hello"),
        realtime.CreateItem("assistant", "hello"),
        realtime.FunctionOutput("call_1", "{}"),
    ):
        sent = json.loads(realtime_encoding.encode(event))
        parsed = _client_event.validate_python(sent)
        assert parsed.type == sent["type"]
        assert extras(parsed) == []
    assert extras(_client_event.validate_python({"type": "response.create", "temperature": 1})) == ["temperature"]


def test_appends_are_encoded_on_the_short_path_only() -> None:
    with pytest.raises(AssertionError):
        realtime_encoding._wire(realtime.Append(""))
    with pytest.raises(AssertionError):
        realtime._public("none", object())
