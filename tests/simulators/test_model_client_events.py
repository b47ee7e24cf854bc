from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

from simulators.model.client_events import Refused, decode, event_id, parse
from tests.simulators.model_peers import Client, error_of, kinds

Event = dict[str, Any]
OPENAI_CLIENT_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)


def session(**fields: Any) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def inbound(**fields: Any) -> Event:
    return session(audio={"input": fields})


def outbound(**fields: Any) -> Event:
    return session(audio={"output": fields})


def create(**fields: Any) -> Event:
    return {"type": "conversation.item.create", "item": fields}


TOOL = {"type": "function", "name": "end_call", "description": "End it.", "parameters": {"type": "object"}}
EVERYTHING = session(
    output_modalities=["audio"],
    instructions="Be kind.",
    audio={
        "input": {
            "format": {"type": "audio/pcmu"},
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": "gpt-transcribe", "language": "en"},
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "idle_timeout_ms": 15000},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "voice_1"}, "speed": 1},
    },
    tools=[TOOL, {"type": "mcp", "server_label": "books", "server_url": "https://mcp.example.com"}],
    tool_choice={"type": "function", "name": "end_call"},
    parallel_tool_calls=False,
    reasoning={"effort": "low"},
    max_output_tokens="inf",
    truncation={"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 16000}},
    tracing=None,
    include=["item.input_audio_transcription.logprobs"],
)
ACCEPTED = [
    EVERYTHING,
    inbound(turn_detection={"type": "semantic_vad", "eagerness": "high"}),
    inbound(turn_detection=None, noise_reduction=None, transcription=None),
    {"type": "input_audio_buffer.append", "audio": "/////w=="},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear", "event_id": "e"},
    {"type": "output_audio_buffer.clear"},
    create(type="message", role="user", content=[{"type": "input_text", "text": "5"}]),
    create(type="message", role="user", content=[{"type": "input_audio", "audio": "/////w=="}]),
    create(type="message", role="user", content=[{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]),
    create(type="message", role="system", content=[{"type": "input_text", "text": "The caller pressed 5."}]),
    create(type="message", role="assistant", content=[{"type": "output_text", "text": "Hello"}]),
    create(type="message", role="assistant", content=[{"type": "output_audio", "transcript": "Hello"}]),
    create(type="function_call", name="end_call", arguments="{}", call_id="call_1"),
    create(type="function_call_output", call_id="call_1", output="{}"),
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 1840},
    {"type": "response.create"},
    {"type": "response.create", "response": {"instructions": "Greet.", "tool_choice": "none", "metadata": {"k": "v"}}},
    {"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"], "input": []}},
    {"type": "response.cancel"},
    {"type": "response.cancel", "response_id": "resp_1"},
]
REFUSED = [
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    ({"type": "session.update"}, "missing_required_parameter", "session"),
    (session(modalities=["text", "audio"]), "unknown_parameter", "session.modalities"),
    (session(input_audio_format="g711_ulaw"), "unknown_parameter", "session.input_audio_format"),
    (session(output_audio_format="g711_ulaw"), "unknown_parameter", "session.output_audio_format"),
    (session(turn_detection={"type": "server_vad"}), "unknown_parameter", "session.turn_detection"),
    (session(voice="alloy"), "unknown_parameter", "session.voice"),
    (session(temperature=0.8), "unknown_parameter", "session.temperature"),
    (session(max_response_output_tokens=100), "unknown_parameter", "session.max_response_output_tokens"),
    (session(input_audio_transcription={}), "unknown_parameter", "session.input_audio_transcription"),
    (session(output_modalities=["text", "audio"]), "invalid_value", "session.output_modalities"),
    (session(max_output_tokens=4097), "invalid_value", "session.max_output_tokens"),
    (session(instructions=7), "invalid_type", "session.instructions"),
    (session(tools=[{"name": "f"}]), "missing_required_parameter", "session.tools[0].type"),
    (session(tools=[{**TOOL, "strict": True}]), "unknown_parameter", "session.tools[0].strict"),
    (session(tools=[{**TOOL, "name": "end call"}]), "invalid_value", "session.tools[0].name"),
    (session(reasoning={"effort": "huge"}), "invalid_value", "session.reasoning.effort"),
    (inbound(format="g711_ulaw"), "invalid_type", "session.audio.input.format"),
    (inbound(format={"type": "g711_ulaw"}), "invalid_value", "session.audio.input.format.type"),
    (inbound(format={"type": "audio/pcmu", "rate": 8000}), "unknown_parameter", "session.audio.input.format.rate"),
    (inbound(format={"type": "audio/pcm", "rate": 8000}), "invalid_value", "session.audio.input.format.rate"),
    (
        inbound(turn_detection={"type": "server_vad", "idle_timeout_ms": 4999}),
        "invalid_value",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (
        inbound(turn_detection={"type": "semantic_vad", "idle_timeout_ms": 5000}),
        "unknown_parameter",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (
        inbound(turn_detection={"type": "server_vad", "threshold": 1.1}),
        "invalid_value",
        "session.audio.input.turn_detection.threshold",
    ),
    (outbound(voice="bob"), "invalid_value", "session.audio.output.voice"),
    (outbound(speed=2.0), "invalid_value", "session.audio.output.speed"),
    (
        create(type="message", role="user", content=[{"type": "text", "text": "x"}]),
        "invalid_value",
        "item.content[0].type",
    ),
    (
        create(type="message", role="assistant", content=[{"type": "text", "text": "x"}]),
        "invalid_value",
        "item.content[0].type",
    ),
    (create(type="message", content=[]), "missing_required_parameter", "item.role"),
    (create(role="user", content=[]), "missing_required_parameter", "item.type"),
    (create(type="function_call_output", output="{}"), "missing_required_parameter", "item.call_id"),
    (create(type="function_call_output", call_id="c", output={}), "invalid_type", "item.output"),
    (
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 12.5},
        "invalid_type",
        "audio_end_ms",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": -1},
        "invalid_value",
        "audio_end_ms",
    ),
    ({"type": "response.create", "response": {"modalities": ["audio"]}}, "unknown_parameter", "response.modalities"),
    ({"type": "response.create", "instructions": "x"}, "unknown_parameter", "instructions"),
    ({"type": "response.create", "event_id": "x" * 513}, "invalid_value", "event_id"),
    ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
    ({"type": "input_audio_buffer.append", "audio": None}, "invalid_type", "audio"),
    ({"type": "conversation.item.add"}, "invalid_value", "type"),
    ({"type": ["session.update"]}, "invalid_value", "type"),
    ({"event_id": "e"}, "missing_required_parameter", "type"),
]


@pytest.mark.parametrize("event", ACCEPTED, ids=lambda event: json.dumps(event)[:60])
def test_every_documented_client_event_is_accepted(event: Event) -> None:
    OPENAI_CLIENT_EVENT.validate_python(event)
    assert parse(decode(json.dumps(event))).type == event["type"]


@pytest.mark.parametrize(("event", "code", "param"), REFUSED, ids=lambda part: str(part)[:70])
def test_what_the_api_does_not_know_is_refused_by_name(event: Event, code: str, param: str) -> None:
    client = Client()
    error = error_of(client.send_text(json.dumps({**event, "event_id": event.get("event_id", "mine")})))
    assert (error["code"], error["param"]) == (code, param)
    assert param in error["message"] or code == "invalid_value"
    assert error["type"] == "invalid_request_error"
    known = event.get("event_id", "mine")
    assert error["event_id"] == (known if len(known) <= 512 else None)


@pytest.mark.parametrize("message", [b"{}", "", "{", "[]", "null", '{"type": NaN}', "[" * 100_000, '"response.create"'])
def test_what_is_not_a_json_object_is_refused_and_the_session_goes_on(message: str | bytes) -> None:
    client = Client()
    assert error_of(client.send_text(message))["code"] == "invalid_event"
    assert kinds(client("session.update", session={"type": "realtime"})) == ["session.updated"]


def test_models_that_do_not_reason_know_no_reasoning() -> None:
    client = Client()
    assert kinds(client("session.update", session=EVERYTHING["session"])) == ["session.updated"]
    client.session.configuration.wire["model"] = "gpt-realtime-1.5"
    refused = client("session.update", session={"type": "realtime", "reasoning": {"effort": "low"}})
    assert error_of(refused)["param"] == "session.reasoning"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(ACCEPTED), st.data())
def test_a_mutated_event_is_accepted_or_refused_and_nothing_else(event: Event, data: st.DataObject) -> None:
    mutated: Any = json.loads(json.dumps(event))
    here = mutated
    while isinstance(here, (dict, list)) and here:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else list(range(len(here)))))
        if not isinstance(here[key], (dict, list)) or data.draw(st.booleans()):
            here[key] = data.draw(JSON)
            break
        here = here[key]
    client = Client()
    for sent in client.send_text(json.dumps(mutated)):
        assert sent["type"] != "error" or sent["error"]["code"]


@given(st.text() | st.binary(max_size=200) | JSON.map(json.dumps))
def test_whatever_arrives_is_decoded_or_refused(message: str | bytes) -> None:
    try:
        content = decode(message)
        event_id(content)
        parse(content)
    except Refused:
        return
