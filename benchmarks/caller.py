"""Twilio's side of one call: fifty media messages a second up, audio played in real time, marks echoed when due."""

from __future__ import annotations

import base64
import secrets
from collections import deque

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks.account import ACCOUNT_SID
from benchmarks.model import Model
from benchmarks.readings import Readings
from benchmarks.stamps import OCTETS, now_us, read, stamp

_START = (
    '{"event":"start","sequenceNumber":"1","streamSid":"%s","start":{"accountSid":"%s","callSid":"%s","streamSid":"%s",'
    '"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
    '"customParameters":{"call_sid":"%s"}}}'
)
_MEDIA = (
    b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%b'
    + base64.b64encode(b"\xff" * (160 - OCTETS))
    + b'"},"streamSid":"%b"}'
)


class Caller(WSListener):
    def __init__(self, call_sid: str, readings: Readings, models: list[Model]) -> None:
        self.call_sid = call_sid
        self.readings = readings
        self.models = models
        self.model: Model | None = None
        self.stream_sid = "MZ" + secrets.token_hex(16)
        self.transport: WSTransport | None = None
        self.chunk = 0
        self.started_us = 0
        self.plays_until_us = 0.0
        self.marks: deque[tuple[float, bytes]] = deque()

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b'{"event":"connected","protocol":"Call","version":"1.0.0"}')
        sids = (self.stream_sid, ACCOUNT_SID, self.call_sid, self.stream_sid, self.call_sid)
        transport.send(WSMsgType.TEXT, (_START % sids).encode())
        self.started_us = now_us()
        self.transport = transport

    def on_ws_disconnected(self, _: WSTransport) -> None:
        if self.transport is not None:
            self.transport = None
            self.readings.hung_up += 1

    def speak(self) -> None:
        """Send the next 20 ms, and echo the marks that have played by now."""
        if self.transport is None:
            return
        self.chunk += 1
        us, chunk = now_us(), self.chunk
        self.transport.send(
            WSMsgType.TEXT, _MEDIA % (chunk + 1, chunk, chunk * 20, stamp(us), self.stream_sid.encode())
        )
        self.readings.sent += 1
        while self.marks and self.marks[0][0] <= us:
            self.transport.send(WSMsgType.TEXT, self.marks.popleft()[1])

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        message, us = frame.get_payload_as_bytes(), now_us()
        kind = message[:24]
        if b"media" in kind:
            self._hear(message, us)
        elif b"mark" in kind:
            self.marks.append((self.plays_until_us, message))
        elif b"clear" in kind:
            self._clear(transport, us)

    def _hear(self, message: bytes, us: int) -> None:
        sent_us, origin = read(message, b'"payload":')
        self.readings.down.append(us - sent_us)
        self.plays_until_us = max(self.plays_until_us, us) + (len(message) - 100) * 0.75 * 125
        if self.started_us and origin < len(self.models):  # else it is the relay's own ringing
            self.readings.first_audio.append(us - self.started_us)
            self.started_us, self.model = 0, self.models[origin]

    def _clear(self, transport: WSTransport, us: int) -> None:
        if self.model is not None:
            self.readings.barge_in.append(us - self.model.speech_started_us)
        self.plays_until_us = 0
        while self.marks:
            transport.send(WSMsgType.TEXT, self.marks.popleft()[1])

    def hang_up(self) -> None:
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
