"""The messages of a bidirectional Media Stream, to the letter and in both directions. Pure.

https://www.twilio.com/docs/voice/media-streams/websocket-messages. What a server sends is judged as Twilio's error
pages describe: 31950 for what cannot be decoded, 31951 for what is not JSON, not known, or has a field too few or many.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECTED: Final = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


class Refused(Exception):  # noqa: N818  # a verdict on somebody else's message, not an error of ours
    """A server's message that Twilio would not take; `code` is the warning it would log."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Media:
    """Mu-law audio to be queued."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark to be queued."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Empty the queue."""


def read(message: str | bytes, stream_sid: str) -> Media | Mark | Clear:
    """What a server's message asks for.

    Raises:
        Refused: Twilio would ignore the message and log a warning.
    """
    if isinstance(message, bytes):
        raise Refused(31950, "a binary message")
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise Refused(31951, f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise Refused(31951, "not a JSON object")
    match data.get("event"):
        case "media":
            _exactly(data, {"event", "streamSid", "media"}, stream_sid)
            return Media(_audio(_nested(data, "media", "payload")))
        case "mark":
            _exactly(data, {"event", "streamSid", "mark"}, stream_sid)
            return Mark(_nested(data, "mark", "name"))
        case "clear":
            _exactly(data, {"event", "streamSid"}, stream_sid)
            return Clear()
        case event:
            raise Refused(31951, f"unknown event {event!r}")


def _exactly(data: dict[str, Any], fields: set[str], stream_sid: str) -> None:
    if data.keys() != fields:
        raise Refused(31951, f"{data['event']} with the fields {sorted(data)} instead of {sorted(fields)}")
    if data["streamSid"] != stream_sid:
        raise Refused(31951, f"{data['event']} for stream {data['streamSid']!r}")


def _nested(data: dict[str, Any], outer: str, inner: str) -> str:
    value = data[outer]
    if not isinstance(value, dict) or value.keys() != {inner} or not isinstance(value[inner], str):
        raise Refused(31951, f"{outer} must hold exactly the text {inner}")
    text: str = value[inner]
    return text


def _audio(payload: str) -> bytes:
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(31950, f"a payload that is not base64: {error}") from error


class Writer:
    """Twilio's side of one stream: counts the messages and the media in them, both as decimal strings."""

    def __init__(self, *, account_sid: str, call_sid: str, stream_sid: str) -> None:
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._sequence = 0
        self._chunk = 0

    def start(self, parameters: dict[str, str]) -> str:
        """The first numbered message."""
        body = {
            "accountSid": self._account_sid,
            "callSid": self._call_sid,
            "streamSid": self._stream_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        }
        return self._numbered("start", body)

    def media(self, audio: bytes) -> str:
        """20 ms of the caller's voice; the timestamp is the stream's own clock, in ms."""
        timestamp = self._chunk * 20
        self._chunk += 1
        return (
            f'{{"event":"media","sequenceNumber":"{self._next()}","streamSid":"{self._stream_sid}","media":'
            f'{{"track":"inbound","chunk":"{self._chunk}","timestamp":"{timestamp}",'
            f'"payload":"{base64.b64encode(audio).decode()}"}}}}'
        )

    def lost(self) -> None:
        """Count 20 ms of the caller's voice that were never sent."""
        self._chunk += 1

    def dtmf(self, digit: str) -> str:
        """A pressed key."""
        return self._numbered("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        """An echoed mark."""
        return self._numbered("mark", {"name": name})

    def stop(self) -> str:
        """The last message."""
        return self._numbered("stop", {"accountSid": self._account_sid, "callSid": self._call_sid})

    def _numbered(self, event: str, body: Mapping[str, object]) -> str:
        message = {"event": event, "sequenceNumber": self._next(), "streamSid": self._stream_sid, event: body}
        return json.dumps(message, separators=(",", ":"))

    def _next(self) -> str:
        self._sequence += 1
        return str(self._sequence)
