"""Acceptance 10: a model and a REST API that are not ours, found by what the environment says."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from aiohttp import BasicAuth, web
from websockets.asyncio.server import ServerConnection, serve

from simulators import audio
from simulators.carrier import Callee, Carrier, Hears, Listens, MeetsPerson, Number, Says, ScriptedCaller
from simulators.carrier.call import Inline
from tests.calls.programs import free_ports, program

ACCOUNT, TOKEN, KEY = "AC" + "5" * 32, "another-token", "sk-another"
FORMAT = {"type": "audio/pcmu"}


class OtherModel:
    """A Realtime server in a few lines: greets, and hands over as soon as the caller has spoken."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        self.models: list[str] = []
        self._count = 0

    async def talk(self, socket: ServerConnection) -> None:
        assert socket.request, "an upgraded connection had a request"
        self.keys.append(socket.request.headers.get("Authorization"))
        self.models.append(socket.request.path)
        await self._send(socket, "session.created", session={"type": "realtime", "id": "sess_1"})
        async for text in socket:
            event = json.loads(text)
            match event["type"]:
                case "session.update":
                    await self._send(socket, "session.updated", session=event["session"] | {"id": "sess_1"})
                case "response.create":
                    await self._respond(socket)
                case "input_audio_buffer.append" if audio.level(base64.b64decode(event["audio"])) > -40:
                    if self._count == 1:
                        await self._respond(socket, call=True)

    async def _respond(self, socket: ServerConnection, *, call: bool = False) -> None:
        self._count += 1
        ids = {"response_id": f"resp_{self._count}", "item_id": f"item_{self._count}"}
        at = {**ids, "output_index": 0, "content_index": 0}
        response = {"id": ids["response_id"], "object": "realtime.response", "status": "in_progress", "output": []}
        await self._send(socket, "response.created", response=response)
        message = {"id": ids["item_id"], "type": "message", "role": "assistant", "content": []}
        await self._send(
            socket, "response.output_item.added", response_id=at["response_id"], output_index=0, item=message
        )
        sound = base64.b64encode(audio.tone([300], 1200)).decode()
        await self._send(socket, "response.output_audio.delta", **at, delta=sound)
        await self._send(socket, "response.output_audio.done", **at)
        await self._send(socket, "response.output_audio_transcript.done", **at, transcript="One moment.")
        output: list[dict[str, Any]] = [message | {"status": "completed"}]
        if call:
            name, arguments = "transfer_to_person", json.dumps({"destination": "support", "summary": "No power."})
            function = {"type": "function_call", "name": name, "call_id": "call_1", "arguments": arguments}
            output.append({"id": "item_call", "status": "completed", **function})
            one = {"response_id": at["response_id"], "item_id": "item_call", "output_index": 1, "call_id": "call_1"}
            await self._send(socket, "response.function_call_arguments.done", **one, name=name, arguments=arguments)
        done = response | {"status": "completed", "output": output}
        await self._send(socket, "response.done", response=done)

    @staticmethod
    async def _send(socket: ServerConnection, kind: str, **fields: Any) -> None:
        await socket.send(json.dumps({"type": kind, "event_id": f"event_{kind}", **fields}))


class OtherRest:
    """Just enough of a REST API for a transfer; hands the new document to whoever has the call."""

    def __init__(self, carrier: Carrier) -> None:
        self.updates: list[tuple[str, str]] = []
        self.passwords: list[tuple[str, str]] = []
        self._carrier = carrier

    async def update(self, request: web.Request) -> web.Response:
        login = BasicAuth.decode(request.headers["Authorization"])
        self.passwords.append((login.login, login.password))
        form = await request.post()
        sid, twiml = request.match_info["sid"], str(form["Twiml"])
        self.updates.append((sid, twiml))
        self._carrier.calls[sid].redirect(Inline(twiml))
        return web.json_response({"sid": sid, "status": "in-progress", "account_sid": ACCOUNT})


@asynccontextmanager
async def serving(rest: OtherRest) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{{sid}}.json", rest.update)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.timeout(120)
async def test_a_call_goes_through_servers_that_are_not_ours(tmp_path: Path) -> None:
    model, carrier = OtherModel(), Carrier(account_sid=ACCOUNT, auth_token=TOKEN, allow_ws=True)
    rest = OtherRest(carrier)
    webhook, relay = free_ports(2)
    async with serve(model.talk, "127.0.0.1", 0) as server, serving(rest) as api:
        port = next(iter(server.sockets)).getsockname()[1]
        environ = {
            "WEBHOOK_PORT": str(webhook),
            "RELAY_PORT": str(relay),
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_API_BASE_URL": api,
            "OPENAI_REALTIME_URL": f"ws://127.0.0.1:{port}/some/realtime",
            "OPENAI_API_KEY": KEY,
        }
        async with program("simulators", "serve", errors=tmp_path / "serve", environ=environ) as stack:
            ready = json.loads(await stack.line())
            assert (ready["account_sid"], ready["auth_token"]) == (ACCOUNT, TOKEN)
            carrier.numbers["+15550100000"] = Number(f"{ready['webhook']}/voice/incoming")
            carrier.callees["+15550100002"] = Callee(after=0.2, says="Support.", hangs_up_after=2)
            sound = audio.tone([500], 600)
            script = ScriptedCaller([Listens(300), Says(sound), MeetsPerson(), Hears(500)])
            call = carrier.place_call(from_="+15550109999", to="+15550100000", caller=script, patience=60)
            await call.ended
            await carrier.stop()
        events = [json.loads(line) for line in stack.stderr.splitlines()]
    assert model.keys == [f"Bearer {KEY}"]
    assert model.models[0].startswith("/some/realtime?model=")
    ((sid, twiml),) = rest.updates
    assert sid == call.sid
    assert [number.text for number in ET.fromstring(twiml).iter("Number")] == ["+15550100002"]
    assert rest.passwords == [(ACCOUNT, TOKEN)]
    assert call.legs[0].status == "completed"
    assert "transfer.bridged" in [line.get("event") for line in events]
