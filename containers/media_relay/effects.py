"""The slow things a call asks for, in threads, outside the audio's way: the ledger in order, the queue beside it.

What fails is logged and told to the session where it has to know; nothing here ends a call.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from containers.media_relay.actions import (
    EndRecorded,
    SessionEvent,
    Superseded,
    ToPerson,
    TransferNews,
    TransferNotQueued,
    TransferQueued,
)
from containers.media_relay.transfers import TransferQueue
from contracts import events
from contracts.breaker import Breakers
from contracts.events import Event
from contracts.ledger import TURNS, Ledger
from contracts.row import Turn
from contracts.transfer import TransferRequest
from contracts.visit import SWEPT

SAVE_SECONDS = 20.0  # how much of a conversation a dying relay may take with it
CHECKS = 3
INSIST_SECONDS, INSIST_EVERY = 3.0, 0.25  # on a request that neither ledger nor queue takes: nobody else knows of it
SETTLE_SECONDS = 2.0  # what a closing stream waits for the ledger at most


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the slow things go. `executor` bounds how many threads they take; `under_way`: what of them is not over."""

    ledger: Ledger
    queue: TransferQueue
    executor: Executor
    breakers: Breakers
    under_way: set[asyncio.Task[object]] = field(default_factory=set)

    async def settled(self, seconds: float) -> None:
        """Wait for what is under way, also for calls that did not wait for it themselves; at most `seconds`."""
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=seconds)


class Effects:
    """One call's slow things: what goes to the ledger in the order in which it was asked for."""

    def __init__(
        self,
        stores: Stores,
        call_sid: str,
        visit: int,
        turns: Iterable[Turn],
        log: Callable[[Event, dict[str, Any]], None],
        request_id: str = "",
        spent: float = 0.0,
    ) -> None:
        self.spent = spent  # USD, by the visits before this one too; written with the conversation
        self.request_id = request_id  # of the last request, which a visit before this may have made
        self._stores = stores
        self._call_sid = call_sid
        self._visit = visit
        self._turns = deque(turns, maxlen=TURNS)
        self._log = log
        self._line: deque[Callable[[], Coroutine[Any, Any, object]]] = deque()
        self._tasks: set[asyncio.Task[object]] = set()
        self._saving: asyncio.TimerHandle | None = None

    def remember(self, turn: Turn) -> None:
        """Store the conversation with this turn added, soon; the turns until then cost one write."""
        self._turns.append(turn)
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(SAVE_SECONDS, self._save)

    def check(self, tell: Callable[[SessionEvent], None]) -> None:
        """Ask the ledger whether this visit still has the call, and tell the session if not."""
        self._start(self._check(tell))

    def stream_started(self, stream_sid: str) -> None:
        """Tell the ledger the stream's name."""
        ledger = self._stores.ledger
        self._follow(
            lambda: self._try("stream_started", ledger.stream_started, self._call_sid, self._visit, stream_sid)
        )

    def stream_ended(self, why: str) -> None:
        """Tell the ledger that the visit is over."""
        ledger = self._stores.ledger
        self._follow(lambda: self._try("stream_ended", ledger.stream_ended, self._call_sid, self._visit, why))

    def record_end(self, reason: str, tell: Callable[[SessionEvent], None]) -> None:
        """Tell the ledger that the agent ends the call, then the session that it knows, or cannot be told."""

        async def record() -> None:
            await self._try("agent_ended", self._stores.ledger.agent_ended, self._call_sid, reason)
            tell(EndRecorded())

        self._save()
        self._follow(record)

    def person_asked(self) -> None:
        """What is logged and queued from now on belongs to a new request."""
        self.request_id = uuid.uuid4().hex

    def note_transfer(self, to: ToPerson) -> None:
        """Note the request in the ledger; it will be queued in a moment, or the webhook finds it there."""
        self._start(self._note_transfer(self._request(to)))

    def queue_transfer(self, to: ToPerson, tell: Callable[[SessionEvent], None]) -> None:
        """Note the request in the ledger and put it on the queue, side by side: either is enough to reach a person."""
        self._start(self._queue_transfer(to, tell))
        self._save()

    def read_transfer(self, tell: Callable[[SessionEvent], None]) -> None:
        """Ask the ledger what has become of the last request; whatever happens, the session is told."""
        self._start(self._read_transfer(tell))

    def settled(self, then: Callable[[], None]) -> None:
        """Call `then` when all that was asked for is done, or `SETTLE_SECONDS` from now."""

        async def settle() -> None:
            me = asyncio.current_task()
            others = {task for task in self._tasks if task is not me}
            if others:
                await asyncio.wait(others, timeout=SETTLE_SECONDS)
            then()

        self._save()
        self._start(settle())

    async def _queue_transfer(self, to: ToPerson, tell: Callable[[SessionEvent], None]) -> None:
        started = time.monotonic()
        request = self._request(to)
        noted, sent = await self._tell_of(request)
        while not (noted or sent) and time.monotonic() - started < INSIST_SECONDS:
            await asyncio.sleep(INSIST_EVERY)
            noted, sent = await self._tell_of(request)
        if sent:
            took = round((time.monotonic() - started) * 1000)
            self._log(events.HANDOFF_QUEUED, {"request_id": self.request_id, "ms": took})
            tell(TransferQueued())
        else:
            tell(TransferNotQueued("the queue failed" if noted else "queue and ledger failed"))

    async def _tell_of(self, request: TransferRequest) -> tuple[bool, bool]:
        return await asyncio.gather(
            self._note_transfer(request),
            self._try("send_message", self._stores.queue.send, request),
        )

    async def _note_transfer(self, request: TransferRequest) -> bool:
        return await self._try("ask_transfer", self._stores.ledger.ask_transfer, request)

    def _request(self, to: ToPerson) -> TransferRequest:
        return TransferRequest.create(
            call_sid=self._call_sid,
            destination=to.destination,
            reason=to.reason,
            now=time.time(),
            summary=to.summary,
            request_id=self.request_id,
        )

    async def _check(self, tell: Callable[[SessionEvent], None]) -> None:
        lost = False

        def read() -> None:
            nonlocal lost
            row = self._stores.ledger.read(self._call_sid)
            stream = row.stream if row else None
            lost = stream is None or stream.visit != self._visit or stream.ended_reason == SWEPT

        for _ in range(CHECKS):  # who has slept may find its connections closed
            if await self._try("check", read):
                break
        if lost:
            tell(Superseded())

    async def _read_transfer(self, tell: Callable[[SessionEvent], None]) -> None:
        news = TransferNews(None)

        def read() -> None:
            nonlocal news
            row = self._stores.ledger.read(self._call_sid)
            if row and row.transfer and row.transfer.request.request_id == self.request_id:
                then = {one.request_id: one.then for one in row.attempts}.get(self.request_id)
                news = TransferNews(row.transfer, then)

        await self._try("read_transfer", read)
        tell(news)

    def _save(self) -> None:
        if self._saving is None:
            return
        self._saving.cancel()
        self._saving = None
        known = self._call_sid, self._visit, tuple(self._turns), self.spent
        self._follow(lambda: self._try("remember", self._stores.ledger.remember, *known))

    async def _try(self, effect: str, work: Callable[..., object], *arguments: object) -> bool:
        try:
            await asyncio.get_running_loop().run_in_executor(self._stores.executor, work, *arguments)
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the call goes on; this is its process edge
            self._log(events.EFFECT_FAILED, {"effect": effect, "error": type(error).__name__})
            return False
        return True

    def _follow(self, step: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._line.append(step)
        if len(self._line) == 1:
            self._start(self._walk())

    async def _walk(self) -> None:
        while self._line:
            await self._line[0]()
            self._line.popleft()

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        for among in (self._tasks, self._stores.under_way):
            among.add(task)
            task.add_done_callback(among.discard)
