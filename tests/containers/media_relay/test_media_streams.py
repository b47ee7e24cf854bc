"""Twilio's messages on the wire."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay import media_streams
from containers.media_relay.media_streams import Clear, Dtmf, Mark, Media, ProtocolError, Start, Stop

MZ = "MZ" + "1" * 32
FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
BEGIN = {"accountSid": "AC1", "callSid": "CA1", "streamSid": MZ, "tracks": ["inbound"], "mediaFormat": FORMAT}


def text(event: str, **fields: Any) -> bytes:
    return json.dumps({"event": event, "sequenceNumber": "4", "streamSid": MZ, **fields}).encode()


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (b'{"event":"connected","protocol":"Call","version":"1.0.0"}', None),
        (text("start", start=BEGIN), Start(MZ, "CA1", "AC1", {})),
        (text("start", start=BEGIN | {"customParameters": {"a": "b"}}), Start(MZ, "CA1", "AC1", {"a": "b"})),
        (
            text("media", media={"track": "inbound", "chunk": "2", "timestamp": "20", "payload": "/w=="}),
            Media(MZ, "/w=="),
        ),
        (text("dtmf", dtmf={"track": "inbound_track", "digit": "#"}), Dtmf(MZ, "#")),
        (text("mark", mark={"name": "g0.1"}), Mark(MZ, "g0.1")),
        (text("stop", stop={"accountSid": "AC1", "callSid": "CA1"}), Stop(MZ)),
    ],
)
def test_every_documented_message_is_read(message: bytes, read: object) -> None:
    assert media_streams.decode(message) == read


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b"\xff", "json"),
        (b"[" * 5000, "fields"),
        (b'{"event":"stop","x":' + b"[" * 5000, "json"),
        (b"null", "fields"),
        (b"[]", "fields"),
        (b"{}", "fields"),
        (b'{"event":5}', "unknown_event"),
        (b'{"event":"sing"}', "unknown_event"),
        (b'{"event":"stop"}', "fields"),
        (b'{"event":"stop","streamSid":""}', "fields"),
        (text("media", media={"payload": 5}), "fields"),
        (text("media", media={"payload": ""}), "media"),
        (text("media", media={"payload": "/w="}), "media"),
        (text("media", media={"payload": "/w==\n"}), "media"),
        (text("media", media={"payload": '"}'}), "media"),
        (text("media", media={"payload": "/w==", "track": "outbound"}), "media"),
        (text("dtmf", dtmf={"digit": "12"}), "dtmf"),
        (text("dtmf", dtmf={"digit": "٣"}), "dtmf"),
        (text("start", start=BEGIN | {"mediaFormat": FORMAT | {"encoding": "audio/l16"}}), "media_format"),
        (text("start", start=BEGIN | {"mediaFormat": FORMAT | {"sampleRate": 16000}}), "media_format"),
        (text("start", start=BEGIN | {"mediaFormat": FORMAT | {"channels": 2}}), "media_format"),
    ],
)
def test_S18_what_the_protocol_does_not_allow_is_refused_by_kind(message: bytes, kind: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        media_streams.decode(message)
    assert refused.value.kind == kind


@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.floats(), lambda x: st.dictionaries(st.text(), x))
    .map(json.dumps)
    .map(str.encode)
)
def test_S18_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    kind = "read"
    try:
        media_streams.decode(data)
    except ProtocolError as refused:
        kind = refused.kind
    assert kind in {"read"} | {"json", "fields", "unknown_event", "media", "dtmf", "media_format"}


def test_what_is_sent_has_exactly_the_documented_fields() -> None:
    sent = [json.loads(media_streams.encode(one)) for one in (Media(MZ, "/w=="), Mark(MZ, 'a"b'), Clear(MZ))]
    assert sent == [
        {"event": "media", "streamSid": MZ, "media": {"payload": "/w=="}},
        {"event": "mark", "streamSid": MZ, "mark": {"name": 'a"b'}},
        {"event": "clear", "streamSid": MZ},
    ]


@given(st.binary(max_size=400))
def test_the_length_of_a_payload_is_the_length_of_its_audio(data: bytes) -> None:
    assert media_streams.octets(base64.b64encode(data).decode()) == len(data)


@given(st.text(), st.text())
def test_a_mark_comes_back_as_it_was_sent(stream_sid: str, name: str) -> None:
    mark = Mark(f"MZ{stream_sid}", name)
    assert media_streams.decode(media_streams.encode(mark)) == mark
