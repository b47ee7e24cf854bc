"""The two programs a carrier talks to, with memory: an application that answers webhooks, and a media server."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from websockets.asyncio.server import Server, ServerConnection, serve
from yarl import URL

from simulators import audio
from simulators.carrier import Carrier, Variants
from simulators.carrier.call import Number
from simulators.carrier.callees import Callee

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from websockets.http11 import Request as Handshake

ACCOUNT = "AC" + "0" * 32
TOKEN = "12345678901234567890123456789012"
NUMBER = "+15550100000"
CALLER = "+15550109999"
PERSON = "+15550100001"
GUARD = 15.0


def beep(text: str, voice: str) -> bytes:
    """Speech for those who only measure it: 10 ms a letter, one tone a voice."""
    return audio.tone([{"OPERATOR": 300, "PERSON": 500, "CALLER": 700}[voice]], max(20, 10 * len(text)))


class Moved(TwilioHttpClient):  # type: ignore[misc]  # shipped without types
    """Asks one server whatever sub-domain of Twilio's is meant."""

    def __init__(self, base: str) -> None:
        super().__init__(timeout=10)
        self._origin = URL(base)

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        here = URL(url, encoded=True).with_scheme(self._origin.scheme)
        moved = here.with_host(str(self._origin.host)).with_port(self._origin.port)
        return super().request(method, str(moved), *arguments, **options)


def moved_client(carrier: Carrier, user: str = ACCOUNT, password: str = TOKEN) -> Client:
    """Twilio's own client, all of whose sub-domains are the carrier."""
    return Client(user, password, ACCOUNT, http_client=Moved(carrier.api_base_url))


@dataclass
class Asked:
    path: str
    form: dict[str, str]
    valid: bool
    headers: dict[str, str]
    method: str = "POST"


@dataclass
class Application:
    """Answers each path with its TwiML, or with what its function returns; remembers who asked what."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    base: str = ""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        url = self.base + request.path_qs
        signature = request.headers.get("X-Twilio-Signature", "")
        valid = RequestValidator(TOKEN).validate(url, form, signature)
        async with self._news:
            self.asked.append(Asked(request.path, form, valid, dict(request.headers), request.method))
            self._news.notify_all()
        answer = self.answers.get(request.path, "")
        if callable(answer):
            answer = await answer(form)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(text=f"<Response>{answer}</Response>", content_type="text/xml")

    async def until(self, path: str, times: int = 1) -> list[Asked]:
        """Wait until a path has been asked so often; returns those requests."""
        async with asyncio.timeout(GUARD), self._news:
            await self._news.wait_for(lambda: len(self.of(path)) >= times)
        return self.of(path)

    def of(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]


class Media:
    """A media server's end of streams: remembers handshakes and messages, sends what a test tells it to."""

    def __init__(self) -> None:
        self.handshakes: list[Handshake] = []
        self.messages: list[dict[str, Any]] = []
        self.socket: ServerConnection | None = None
        self.url = ""
        self.on_start: Callable[[Media], Awaitable[None]] | None = None
        self._news = asyncio.Condition()

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.handshakes.append(socket.request)
        self.socket = socket
        async for text in socket:
            message = json.loads(text)
            async with self._news:
                self.messages.append(message)
                self._news.notify_all()
            if message["event"] == "start" and self.on_start is not None:
                await self.on_start(self)
        async with self._news:
            self.messages.append({"event": "(closed)", "code": socket.close_code})
            self._news.notify_all()

    async def until(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(GUARD), self._news:
            await self._news.wait_for(lambda: len(self.of(event)) >= times)
        return self.of(event)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["event"] == event]

    @property
    def stream_sid(self) -> str:
        return str(self.of("start")[-1]["streamSid"])

    async def send(self, event: str, **body: Any) -> None:
        assert self.socket is not None
        await self.socket.send(json.dumps({"event": event, "streamSid": self.stream_sid, **body}))

    async def say(self, ulaw: bytes) -> None:
        await self.send("media", media={"payload": base64.b64encode(ulaw).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})


@dataclass
class World:
    carrier: Carrier
    app: Application
    media: Media

    @property
    def stream(self) -> str:
        return f'<Stream url="{self.media.url}/media/token"><Parameter name="visit" value="1"/></Stream>'

    def number(self, fallback_url: str | None = None, status_callback: str | None = None) -> None:
        self.carrier.numbers[NUMBER] = Number(self.app.base + "/in", fallback_url, status_callback)


@asynccontextmanager
async def world(variants: Variants | None = None, /, **answers: Any) -> AsyncIterator[World]:
    """A carrier, an application that answers `/in` and the rest by name, a media server, and one person to dial."""
    media = Media()
    app = Application({f"/{path}": answer for path, answer in answers.items()})
    web_app = web.Application()
    web_app.router.add_route("*", "/{path:.*}", app.answer)
    runner = web.AppRunner(web_app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    app.base = "http://{}:{}".format(*runner.addresses[0])
    server: Server = await serve(media.handle, "127.0.0.1", 0)
    media.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    carrier = Carrier(account_sid=ACCOUNT, auth_token=TOKEN, variants=variants, speak=beep)
    carrier.callees[PERSON] = Callee(after=0.05, says="Billing", hangs_up_after=0.3)
    here = World(carrier, app, media)
    here.number()
    await carrier.start()
    try:
        yield here
    finally:
        await carrier.stop()
        server.close()
        await server.wait_closed()
        await runner.cleanup()
