"""The shape most relays have: a coroutine for each direction, JSON and base64 taken apart and put together again.

The design of Twilio's published Python sample and of the question this project began with: no authentication, no
deadlines, no marks, no account of what was heard. https://github.com/twilio-samples
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve


class Call:
    def __init__(self, twilio: ServerConnection, model: ClientConnection) -> None:
        self.twilio = twilio
        self.model = model
        self.stream_sid = ""

    async def from_twilio(self) -> None:
        async for message in self.twilio:
            data = json.loads(message)
            if data["event"] == "media":
                audio = base64.b64decode(data["media"]["payload"])
                append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode("utf-8")}
                await self.model.send(json.dumps(append))
            elif data["event"] == "start":
                self.stream_sid = data["start"]["streamSid"]

    async def from_model(self) -> None:
        async for message in self.model:
            event = json.loads(message)
            if event["type"] == "response.output_audio.delta":
                payload = base64.b64encode(base64.b64decode(event["delta"])).decode("utf-8")
                await self.tell_twilio({"event": "media", "media": {"payload": payload}})
                await self.tell_twilio({"event": "mark", "mark": {"name": "responsePart"}})
            elif event["type"] == "input_audio_buffer.speech_started":
                await self.tell_twilio({"event": "clear"})

    async def tell_twilio(self, message: dict[str, Any]) -> None:
        if self.stream_sid:
            await self.twilio.send(json.dumps({**message, "streamSid": self.stream_sid}))


async def handle(twilio: ServerConnection) -> None:
    async with connect(os.environ["OPENAI_REALTIME_URL"], proxy=None) as model:
        await model.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
        await model.send(json.dumps({"type": "response.create"}))
        call = Call(twilio, model)
        tasks = [asyncio.create_task(call.from_twilio()), asyncio.create_task(call.from_model())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def main() -> None:
    async with serve(handle, "127.0.0.1", int(os.environ["RELAY_PORT"]), backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
