"""The model's side of one call: a reply every six seconds, faster than real time; every second one is interrupted."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks.readings import Readings
from benchmarks.stamps import OCTETS, now_us, read, stamp

CYCLE_SECONDS = 6.0
DELTA_MS = 400
DELTA_EVERY = DELTA_MS / 1000 / 4  # four times real time
DELTAS = 10
INTERRUPTED_AFTER = 6.5 * DELTA_EVERY
_READ_EVERY = 4  # appends: reading stamps should not be what limits the load

_SPREAD = 0.618  # of a cycle between one call and the next, so that they never speak in chorus

_DELTA = (
    b'{"type":"response.output_audio.delta","event_id":"event_%d","response_id":"%b","item_id":"%b","output_index":0,'
    b'"content_index":0,"delta":"%b' + base64.b64encode(b"\xff" * (DELTA_MS * 8 - OCTETS)) + b'"}'
)
_USAGE = {
    "total_tokens": 90,
    "input_tokens": 50,
    "output_tokens": 40,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 30, "cached_tokens": 10},
    "output_token_details": {"text_tokens": 10, "audio_tokens": 30},
}
_MU_LAW = {"format": {"type": "audio/pcmu"}}
_UPDATED = json.dumps(
    {"type": "session.updated", "session": {"type": "realtime", "audio": {"input": _MU_LAW, "output": _MU_LAW}}}
).encode()


class Model(WSListener):
    def __init__(self, origin: int, readings: Readings) -> None:
        self.origin = origin
        self.readings = readings
        self.loop = asyncio.get_running_loop()
        self.transport: WSTransport | None = None
        self.appends = 0
        self.serial = 0
        self.turns = 0
        self.response = ""
        self.speech_started_us = 0
        self.timer: asyncio.TimerHandle | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._tell({"type": "session.created", "session": {"type": "realtime"}})

    def on_ws_disconnected(self, _: WSTransport) -> None:
        self.transport = None
        if self.timer is not None:
            self.timer.cancel()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = frame.get_payload_as_bytes()
        kind = message[:48]
        if b"input_audio_buffer.append" in kind:
            self.readings.arrived += 1
            self.appends += 1
            if self.appends % _READ_EVERY == 0:
                us = now_us()
                self.readings.up.append(us - read(message, b'"audio":')[0])
        elif b"session.update" in kind:
            transport.send(WSMsgType.TEXT, _UPDATED)
        elif b"response.create" in kind and not self.response and not self.turns:
            self._begin()
            self._later(CYCLE_SECONDS * (1 + self.origin * _SPREAD % 1), self._turn)

    def _turn(self) -> None:
        """The caller has spoken; the answer begins."""
        self.turns += 1
        interrupted = (self.turns + self.origin) % 2
        if not interrupted:
            self._hear_speech()
        user = self._name("user")
        self._tell({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0, "item_id": user})
        self._tell({"type": "input_audio_buffer.committed", "item_id": user})
        heard = {"item_id": user, "content_index": 0, "transcript": "Where is my invoice, please?"}
        self._tell({"type": "conversation.item.input_audio_transcription.completed", **heard})
        self._begin()
        if interrupted:
            self.loop.call_later(INTERRUPTED_AFTER, self._interrupt)
        self._later(CYCLE_SECONDS, self._turn)

    def _begin(self) -> None:
        self.serial += 1
        self.response = self._name("resp")
        self._tell(
            {"type": "response.created", "response": {"id": self.response, "status": "in_progress", "output": []}}
        )
        self._delta(self.response, 0)

    def _delta(self, response: str, number: int) -> None:
        if self.transport is None or response != self.response:
            return
        if number == DELTAS:
            said = {"item_id": self._name("item"), "transcript": "You will find it in your letter of the first of May."}
            self._tell({"type": "response.output_audio_transcript.done", "response_id": response, **said})
            self._finish("completed")
            return
        item = self._name("item").encode()
        message = _DELTA % (number, response.encode(), item, stamp(now_us(), self.origin))
        self.transport.send(WSMsgType.TEXT, message)
        self._tell({"type": "response.output_audio_transcript.delta", "response_id": response, "delta": "You will "})
        self.loop.call_later(DELTA_EVERY, self._delta, response, number + 1)

    def _interrupt(self) -> None:
        if self.response:
            self._hear_speech()
            self._finish("cancelled")

    def _hear_speech(self) -> None:
        self.speech_started_us = now_us()
        self._tell({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": self._name("user")})

    def _finish(self, status: str) -> None:
        done = {"id": self.response, "status": status, "output": [], "usage": _USAGE}
        self.response = ""
        self._tell({"type": "response.done", "response": done})

    def _name(self, kind: str) -> str:
        return f"{kind}_{self.origin}_{self.serial}"

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self.timer = self.loop.call_later(seconds, what)

    def _tell(self, event: dict[str, object]) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, json.dumps(event).encode())
