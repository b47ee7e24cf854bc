"""The relay's server on loopback between a telephone and a model that remember, with ledger and queue in memory."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from openai.types.realtime import RealtimeClientEvent
from pydantic import BaseModel, TypeAdapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server as LibraryServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from containers.media_relay.effects import Stores
from containers.media_relay.keys import Keys
from containers.media_relay.names import Names
from containers.media_relay.protection import EcsAgent, Protection
from containers.media_relay.relay import AT_ONCE, ModelAddress
from containers.media_relay.server import Server, Settings
from containers.media_relay.transfers import TransferQueue
from contracts import stream
from contracts.agent_file import AgentFile
from contracts.breaker import Breakers
from contracts.events import Event, Part, record
from contracts.ledger import Ledger
from contracts.visit import Resumes
from tests.containers.media_relay.worlds import ACCOUNT_SID, AGENT_FILE, STREAM_SID, WALL, audio
from tests.contracts.table import FakeTable

ORIGIN, AUTH_TOKEN, OPENAI_KEY = "wss://media.example.com", "canary-auth-token", "canary-openai-key"
GUARD = 10.0
_client_event: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
OUTGOING = {
    "media": {"event": str, "streamSid": str, "media": {"payload": str}},
    "mark": {"event": str, "streamSid": str, "mark": {"name": str}},
    "clear": {"event": str, "streamSid": str},
}


def sign(path: str, auth_token: str = AUTH_TOKEN, origin: str = ORIGIN) -> str:
    """The signature Twilio puts on the upgrade."""
    return base64.b64encode(hmac.digest(auth_token.encode(), (origin + path).encode(), hashlib.sha1)).decode()


def extras(value: object) -> list[str]:
    """Fields that the vendor's types do not know, anywhere in a parsed event."""
    if isinstance(value, BaseModel):
        found = [*(value.model_extra or {})]
        return found + [name for field in type(value).model_fields for name in extras(getattr(value, field))]
    if isinstance(value, list):
        return [name for one in value for name in extras(one)]
    return []


class FakeQueue:
    """The queue in memory. `failure`: what sending raises."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def send_message(self, **arguments: Any) -> None:
        if self.failure:
            raise self.failure
        self.sent.append(json.loads(arguments["MessageBody"]))


class FakeModel:
    """A model's socket with memory; what it does on an event is `on`, by event type."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.headers: list[Request] = []
        self.events: list[dict[str, Any]] = []
        self.objections: list[str] = []
        self.refuse: HTTPStatus | None = None
        self.formats = ("audio/pcmu", "audio/pcmu")
        self.on: dict[str, Callable[[ServerConnection, dict[str, Any]], Any]] = {
            "session.update": self._updated,
            "response.create": self._respond,
        }
        self.spoken = 1600
        self.said = 0
        self.calls: list[dict[str, Any]] = []  # tool calls for the responses to come
        self.changed = asyncio.Event()
        self.answers = asyncio.Event()  # cleared: a handshake has to wait
        self.answers.set()
        self._server: LibraryServer

    async def listen(self) -> str:
        self._server = await serve(self._talk, "127.0.0.1", 0, compression=None, process_request=self._request)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/realtime"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    async def told(self, kind: str, times: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(GUARD):
            while len(self.of(kind)) < times:
                self.changed.clear()
                await self.changed.wait()
        return self.of(kind)

    async def asked(self, times: int) -> None:
        """Wait for so many handshakes to have come, answered or not."""
        async with asyncio.timeout(GUARD):
            while len(self.headers) < times:
                self.changed.clear()
                await self.changed.wait()

    async def say(self, kind: str, to: ServerConnection | None = None, **fields: Any) -> None:
        await (to or self.connections[-1]).send(json.dumps({"type": kind, "event_id": "event_1", **fields}))

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(request)
        self.changed.set()
        await self.answers.wait()
        return connection.respond(self.refuse, "no") if self.refuse else None

    async def _talk(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        await self.say("session.created", connection, session={})
        try:
            async for text in connection:
                event = json.loads(text)
                self.events.append(event)
                self.objections.extend(extras(_client_event.validate_python(event)))
                self.changed.set()
                if event["type"] in self.on:
                    await self.on[event["type"]](connection, event)
        except ConnectionClosed:
            pass

    async def _updated(self, connection: ServerConnection, _event: dict[str, Any]) -> None:
        ways = ("input", "output")
        sides = {side: {"format": {"type": name}} for side, name in zip(ways, self.formats, strict=True)}
        await self.say("session.updated", connection, session={"audio": sides})

    async def _respond(self, connection: ServerConnection, _event: dict[str, Any]) -> None:
        self.said += 1
        response, item = f"resp_{self.said}", f"item_{self.said}"
        await self.say("response.created", connection, response={"id": response, "status": "in_progress"})
        if self.spoken:
            where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
            await self.say(
                "response.output_audio.delta",
                connection,
                **where,
                delta=audio(self.spoken + 8 * self.connections.index(connection)),
            )
            await self.say(
                "response.output_audio_transcript.done", connection, **where, transcript="canary words of the agent"
            )
        calls, self.calls = self.calls, []
        done = {"id": response, "status": "completed", "output": calls, "usage": {"input_tokens": 5}}
        await self.say("response.done", connection, response=done)

    def call_next(self, name: str, **arguments: str) -> None:
        """The next response calls this tool, and says nothing."""
        call = {"id": "item_c", "type": "function_call", "status": "completed", "call_id": f"call_{self.said}"}
        self.calls = [{**call, "name": name, "arguments": json.dumps(arguments)}]


class Phone:
    """Twilio's side of one stream: checks every message it gets, and echoes marks at once."""

    def __init__(self, socket: ClientConnection, call_sid: str, stream_sid: str = STREAM_SID) -> None:
        self.socket = socket
        self.call_sid = call_sid
        self.stream_sid = stream_sid
        self.got: list[dict[str, Any]] = []
        self._unheard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._listening = asyncio.create_task(self._listen())

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(
            json.dumps({"event": kind, "sequenceNumber": "1", "streamSid": self.stream_sid, **fields})
        )

    async def start(self, **changes: Any) -> None:
        await self.socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        body = {
            "accountSid": ACCOUNT_SID,
            "callSid": self.call_sid,
            "streamSid": self.stream_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"call_sid": self.call_sid},
        }
        await self.send("start", start=body | changes)

    async def speak(self, payload: str = audio(160), **fields: str) -> None:
        media = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": payload}
        await self.send("media", media=media, **fields)

    async def hear(self, kind: str) -> dict[str, Any]:
        """Wait for a message of that kind."""
        async with asyncio.timeout(GUARD):
            while True:
                message = await self._unheard.get()
                if message["event"] == kind:
                    return message

    async def closed(self) -> tuple[int, str]:
        """Wait for the end."""
        async with asyncio.timeout(GUARD):
            return await asyncio.shield(self._listening)

    async def _listen(self) -> tuple[int, str]:
        try:
            async for text in self.socket:
                message: dict[str, Any] = json.loads(text)
                assert shape(message) == OUTGOING[message["event"]], "exactly the documented fields"
                self.got.append(message)
                self._unheard.put_nowait(message)
                if message["event"] == "mark":
                    await self.send("mark", mark=message["mark"])
        except ConnectionClosed:
            pass
        return self.socket.close_code or 0, self.socket.close_reason or ""


def shape(value: Any) -> Any:
    return {name: shape(one) for name, one in value.items()} if isinstance(value, dict) else type(value)


class House:
    """A server with its neighbours."""

    def __init__(self, server_port: int, server: Server, ledger: Ledger, model: FakeModel, queue: FakeQueue) -> None:
        self.port = server_port
        self.server = server
        self.ledger = ledger
        self.model = model
        self.queue = queue
        self.lines: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.unprotected: list[str] = []
        self.calls = 0

    def log(self, call_sid: str, event: Event, fields: dict[str, Any]) -> None:
        self.lines.append(record(event, part=Part.RELAY, now=0.0, call_sid=call_sid, **fields))
        self.changed.set()

    def of(self, event: Event) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event.name]

    async def logged(self, event: Event, times: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(GUARD):
            while len(self.of(event)) < times:
                self.changed.clear()
                await self.changed.wait()
        return self.of(event)[times - 1]

    def offer(self) -> tuple[str, str]:
        """Open a call as the webhook does: `(call_sid, path)` of its stream."""
        self.calls += 1
        call_sid = f"CA{self.calls:032x}"
        token = stream.mint(call_sid, 1, "n", AUTH_TOKEN)
        who = {"account_sid": ACCOUNT_SID, "caller_masked": "***01", "called": "+15550100009", "caller_id": ""}
        self.ledger.open_call(call_sid, **who, nonce="n", digest=stream.digest(token))
        return call_sid, stream.MEDIA_PATH + token

    def offer_again(self, call_sid: str, visit: int, resumes: Resumes | None = None) -> str:
        """The path of the next visit, as the webhook offers it."""
        token = stream.mint(call_sid, visit, "m", AUTH_TOKEN)
        self.ledger.offer_stream(call_sid, visit, nonce="m", digest=stream.digest(token), resumes=resumes)
        return stream.MEDIA_PATH + token

    def dial(self, path: str, **headers: str) -> connect:
        """The `websockets` client on its way to a path, signed by default."""
        given = headers or {"X-Twilio-Signature": sign(path)}
        url = f"ws://127.0.0.1:{self.port}{path}"
        return connect(url, additional_headers=given, compression=None, proxy=None, open_timeout=GUARD)

    @asynccontextmanager
    async def phone(self) -> AsyncIterator[Phone]:
        call_sid, path = self.offer()
        async with self.dial(path) as socket:
            phone = Phone(socket, call_sid)
            yield phone
        await phone.closed()

    async def ask(self, head: bytes) -> int:
        """Send a raw request head; the status of the answer, 0 if there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(head)
            line = await asyncio.wait_for(reader.readline(), GUARD)
            return int(line.split()[1]) if line else 0
        except ConnectionError:
            return 0
        finally:
            writer.close()

    async def empty(self) -> None:
        """Wait until no call holds a place."""
        async with asyncio.timeout(GUARD):
            await self.server._empty.wait()


@asynccontextmanager
async def house(
    *,
    max_calls: int = 500,
    at_once: int = AT_ONCE,
    table: FakeTable | None = None,
    ecs_agent: EcsAgent | None = None,
    agent_file: AgentFile = AGENT_FILE,
    names: Names | None = None,
    model: FakeModel | None = None,
) -> AsyncIterator[House]:
    """A running server on a Sunday; everything is gone afterwards."""

    async def in_force(_reference: str) -> AgentFile:
        return agent_file

    model, queue, turns = model or FakeModel(), FakeQueue(), asyncio.Semaphore(at_once)
    names = names or Names()
    url = await model.listen()
    table = table or FakeTable()
    ledger = Ledger(table, "ledger", lambda: 1000.0)
    with ThreadPoolExecutor(8) as executor:
        settings = Settings(
            media_origin=ORIGIN,
            account_sid=ACCOUNT_SID,
            agent_file=in_force,
            wall=lambda: WALL,
            max_calls=max_calls,
            model_address=lambda keys, model: ModelAddress(url, model, keys.openai_key, None, turns, names),
            keys=lambda: Keys((AUTH_TOKEN, "the token before"), OPENAI_KEY),
        )
        the_house: House
        server = Server(
            settings,
            Stores(
                ledger,
                TransferQueue(queue, "https://queue"),
                executor,
                Breakers(table, "ledger", lambda: 1000.0),
            ),
            Protection(ecs_agent, lambda why: the_house.unprotected.append(why)),  # noqa: PLW0108 - as below
            lambda *line: the_house.log(*line),  # noqa: PLW0108 - the house is built after its server
        )
        listener = await asyncio.get_running_loop().create_server(server.connection, "127.0.0.1", 0)
        the_house = House(listener.sockets[0].getsockname()[1], server, ledger, model, queue)
        try:
            yield the_house
            await the_house.empty()
        finally:
            listener.close()
            await model.stop()
        assert not model.objections, "client events have the vendor's fields only"
