"""The floor: the least a relay can do. Bytes are spliced from one frame into the other on a compiled WebSocket library.

Nothing is parsed, validated, logged or timed, and nobody is authenticated.
"""

from __future__ import annotations

import asyncio
import os

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_connect, ws_create_server

_SESSION = b'{"type":"session.update","session":{"type":"realtime"}}'


class Model(WSListener):
    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def on_ws_frame(self, _: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if message.startswith(b'{"type":"response.output_audio.delta"'):
            at = message.index(b'"delta":"') + 9
            payload = message[at : message.index(b'"', at)]
            self.caller.say(b'{"event":"media","streamSid":"%b","media":{"payload":"%b"}}', payload)
        elif message.startswith(b'{"type": "input_audio_buffer.speech_started"'):
            self.caller.say(b'{"event":"clear","streamSid":"%b"}')


class Caller(WSListener):
    def __init__(self) -> None:
        self.transport: WSTransport | None = None
        self.model: WSTransport | None = None
        self.stream_sid = b""
        self.connecting: asyncio.Task[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        self.model, _ = await ws_connect(lambda: Model(self), os.environ["OPENAI_REALTIME_URL"])
        self.model.send(WSMsgType.TEXT, _SESSION)
        self.model.send(WSMsgType.TEXT, b'{"type":"response.create"}')

    def on_ws_frame(self, _: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if message.startswith(b'{"event":"media"'):
            if self.model is not None:
                at = message.index(b'"payload":"') + 11
                payload = message[at : message.index(b'"', at)]
                self.model.send(WSMsgType.TEXT, b'{"type":"input_audio_buffer.append","audio":"%b"}' % payload)
        elif message.startswith(b'{"event":"start"'):
            at = message.index(b'"streamSid":"') + 13
            self.stream_sid = message[at : at + 34]

    def say(self, shape: bytes, *parts: bytes) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, shape % (self.stream_sid, *parts))

    def on_ws_disconnected(self, _: WSTransport) -> None:
        self.transport = None
        if self.model is not None:
            self.model.disconnect()


def _accept(_: WSUpgradeRequest) -> Caller:
    return Caller()


async def serve() -> None:
    server = await ws_create_server(_accept, "127.0.0.1", int(os.environ["RELAY_PORT"]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
