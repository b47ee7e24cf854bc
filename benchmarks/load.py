"""N calls at once: every caller and every model in this one process, on one clock, against one relay."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time

from picows import WSError, WSUpgradeRequest, ws_connect, ws_create_server

from benchmarks.account import ACCOUNT_SID, AUTH_TOKEN
from benchmarks.aws import Item
from benchmarks.caller import Caller
from benchmarks.model import Model
from benchmarks.readings import Readings
from contracts.row import Call, Row, Status, Stream, to_item
from contracts.stream import digest, mint, nonce

SLOTS = 20  # of one millisecond: each call speaks in one of them
_ARRIVALS_PER_SECOND = 50


class Load:
    def __init__(self, items: dict[str, Item]) -> None:
        self.readings = Readings()
        self.callers: list[Caller] = []
        self.models: list[Model] = []
        self.refused = 0
        self._items = items
        self._slots: list[list[Caller]] = [[] for _ in range(SLOTS)]
        self._ticks = 0
        self._began = 0.0
        self._ticking: asyncio.TimerHandle | None = None

    async def listen(self) -> str:
        """Start the models' side; returns its URL."""
        server = await ws_create_server(self._model, "127.0.0.1", 0, backlog=1024)
        return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"

    def _model(self, _: WSUpgradeRequest) -> Model:
        model = Model(len(self.models), self.readings)
        self.models.append(model)
        return model

    async def grow(self, calls: int, origin: str) -> None:
        """Let calls arrive, one after the other, until there are so many or one is not let in."""
        pause = 1 / _ARRIVALS_PER_SECOND
        while len(self.callers) < calls and not self.refused:
            await asyncio.gather(self._arrive(origin), asyncio.sleep(pause))

    async def _arrive(self, origin: str) -> None:
        call_sid = "CA" + secrets.token_hex(16)
        url = f"{origin}/media/{self._admit(call_sid)}"
        signature = base64.b64encode(hmac.digest(AUTH_TOKEN.encode(), url.encode(), hashlib.sha1)).decode()
        caller = Caller(call_sid, self.readings, self.models)
        try:
            await ws_connect(lambda: caller, url, extra_headers={"X-Twilio-Signature": signature})
        except (OSError, WSError):  # TimeoutError is an OSError
            self.refused += 1
            return
        self.join(caller)

    def join(self, caller: Caller) -> None:
        """A caller that has been let in."""
        self._slots[len(self.callers) % SLOTS].append(caller)
        self.callers.append(caller)

    def _admit(self, call_sid: str) -> str:
        """What the webhook does when a call comes in."""
        random, now = nonce(), time.time()
        token = mint(call_sid, 1, random, AUTH_TOKEN)
        call = Call(ACCOUNT_SID, "***01", "+15550100000", "", opened_at=now)
        stream = Stream(visit=1, nonce=random, digest=digest(token), offered_at=now)
        row = Row(call_sid=call_sid, call=call, stream=stream, status=Status("in-progress"), expires_at=int(now) + 3600)
        self._items[call_sid] = to_item(row)
        return token

    def speak(self) -> None:
        """Begin to speak: every caller every 20 ms from now on."""
        self._began = time.perf_counter()
        self._ticks = 0
        self._tick()

    def _tick(self) -> None:
        loop, due = asyncio.get_running_loop(), int((time.perf_counter() - self._began) * 1000)
        self.readings.late.append((due - self._ticks) * 1000)
        # A load that has fallen behind leaves turns out: catching up would keep the loop from all else.
        self._ticks = max(self._ticks, due - SLOTS)
        while self._ticks < due:
            for caller in self._slots[self._ticks % SLOTS]:
                caller.speak()
            self._ticks += 1
        self._ticking = loop.call_later(0.001, self._tick)

    def hang_up(self) -> None:
        """End every call."""
        if self._ticking is not None:
            self._ticking.cancel()
        for caller in self.callers:
            caller.hang_up()
        self.callers.clear()
        for slot in self._slots:
            slot.clear()
