"""Twilio Media Streams on the wire: JSON text frames to messages and back. Pure.

Twilio sends `connected`, `start`, then any of `media`, `dtmf`, `mark`, then `stop`; we may send `media`, `mark` and
`clear`, with exactly the documented fields, since an extra one raises warning 31951.
https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field


class ProtocolError(Exception):
    """Twilio's side sent what the protocol does not allow; `kind` is a short fixed word for logs and counts."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Start(Struct, frozen=True):
    """The stream is up and knows its names."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: dict[str, str]


class Media(Struct, frozen=True):
    """Audio, either way: base64 of raw mu-law, 8 kHz, mono (8 bytes = 1 ms)."""

    stream_sid: str
    payload: str


class Mark(Struct, frozen=True):
    """A place in what we sent; echoed when played, or when a `clear` removed it."""

    stream_sid: str
    name: str


class Clear(Struct, frozen=True):
    """Empty what Twilio has buffered and not yet played."""

    stream_sid: str


class Dtmf(Struct, frozen=True):
    """The caller pressed a key."""

    stream_sid: str
    digit: str


class Stop(Struct, frozen=True):
    """The stream has ended: the caller hung up, or Twilio was given new TwiML."""

    stream_sid: str


FromTwilio = Start | Media | Mark | Dtmf | Stop
ToTwilio = Media | Mark | Clear


_StreamSid = Annotated[str, Meta(min_length=1)]


class _MediaFormat(Struct):
    encoding: str
    sample_rate: int = field(name="sampleRate")
    channels: int


class _StartBody(Struct, rename="camel"):
    call_sid: str
    account_sid: str
    media_format: _MediaFormat
    custom_parameters: dict[str, str] = {}


class _MediaBody(Struct):
    payload: str
    track: str = "inbound"


class _MarkBody(Struct):
    name: str


class _DtmfBody(Struct):
    digit: str


class _Connected(Struct, tag_field="event", tag="connected"):
    pass


class _Start(Struct, tag_field="event", tag="start", rename="camel"):
    stream_sid: _StreamSid
    start: _StartBody


class _Media(Struct, tag_field="event", tag="media", rename="camel"):
    stream_sid: _StreamSid
    media: _MediaBody


class _Mark(Struct, tag_field="event", tag="mark", rename="camel"):
    stream_sid: _StreamSid
    mark: _MarkBody


class _Dtmf(Struct, tag_field="event", tag="dtmf", rename="camel"):
    stream_sid: _StreamSid
    dtmf: _DtmfBody


class _Stop(Struct, tag_field="event", tag="stop", rename="camel"):
    stream_sid: _StreamSid


class _Payload(Struct):
    payload: str


class _OutMedia(Struct, tag_field="event", tag="media", rename="camel"):
    stream_sid: str
    media: _Payload


class _OutClear(Struct, tag_field="event", tag="clear", rename="camel"):
    stream_sid: str


_decode = msgspec.json.Decoder(_Connected | _Start | _Media | _Mark | _Dtmf | _Stop).decode
_encode = msgspec.json.Encoder().encode
_is_base64 = re.compile(r"[A-Za-z0-9+/]+={0,2}").fullmatch
_KEYS = frozenset("0123456789*#ABCDabcd")
_MU_LAW = ("audio/x-mulaw", 8000, 1)


def decode(text: bytes) -> FromTwilio | None:
    """One text frame from Twilio; None for `connected`, which says nothing we need.

    Raises:
        ProtocolError: not JSON, not a known message, a field missing or of the wrong type, or audio that is not mu-law.
    """
    try:
        message = _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(_kind(error)) from None
    if type(message) is _Media:
        body = message.media
        if body.track != "inbound" or len(body.payload) % 4 or _is_base64(body.payload) is None:
            raise ProtocolError("media")
        return Media(message.stream_sid, body.payload)
    match message:
        case _Mark(stream_sid, mark):
            return Mark(stream_sid, mark.name)
        case _Dtmf(stream_sid, dtmf):
            if dtmf.digit not in _KEYS:
                raise ProtocolError("dtmf")
            return Dtmf(stream_sid, dtmf.digit)
        case _Start(stream_sid, start):
            media_format = start.media_format
            if (media_format.encoding, media_format.sample_rate, media_format.channels) != _MU_LAW:
                raise ProtocolError("media_format")
            return Start(stream_sid, start.call_sid, start.account_sid, start.custom_parameters)
        case _Stop(stream_sid):
            return Stop(stream_sid)
        case _:
            return None


def encode(message: ToTwilio) -> bytes:
    """The text frame that says `message`, with exactly the documented fields."""
    if type(message) is Media:
        return _encode(_OutMedia(message.stream_sid, _Payload(message.payload)))
    if type(message) is Mark:
        return _encode(_Mark(message.stream_sid, _MarkBody(message.name)))
    return _encode(_OutClear(message.stream_sid))


def octets(payload: str) -> int:
    """How many bytes of mu-law a base64 payload holds; 8 of them play for 1 ms."""
    return len(payload) * 3 // 4 - payload.count("=", -2)


def _kind(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return "unknown_event" if "$.event" in str(error) else "fields"
    return "json"
