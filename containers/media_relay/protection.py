"""Whether ECS may stop this task: never while a call is live, as far as ECS agrees.

`Need` decides what to ask for and when, `verdict` what the answer means; both are pure. `Protection` asks, in a thread,
one request at a time. No call is refused because of it, and none waits for it longer than `PATIENCE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import msgspec

PATH = "/task-protection/v1/state"
RENEW_SECONDS = 60.0
RETRY_SECONDS = 10.0
PATIENCE = 0.3  # seconds that a call may wait for its task's protection
AGENT_SECONDS = 5.0  # the agent itself gives ECS less: what it has not answered by then is over
CLOSING_SECONDS = 2.0
BLOCKED = "DEPLOYMENT_BLOCKED"
NEVER = math.inf
_LONGEST_ANSWER = 64 * 1024


class _Protected(msgspec.Struct, rename="pascal"):
    protection_enabled: bool


class _Failure(msgspec.Struct, rename="pascal"):
    reason: str


class _Error(msgspec.Struct, rename="pascal"):
    code: str


class _Answer(msgspec.Struct):
    protection: _Protected | None = None
    failure: _Failure | None = None
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def verdict(body: bytes, *, enabled: bool) -> str:
    """Why the agent's answer is not what was asked for, as ECS names it; "" if it is.

    A refusal comes with status 200 as well, so the body alone decides:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html

    Raises:
        msgspec.DecodeError: the body is no answer of the agent.
    """
    answer = _decode(body)
    if answer.failure:
        return answer.failure.reason or "failure"
    if answer.error:
        return answer.error.code or "error"
    if answer.protection and answer.protection.protection_enabled is enabled:
        return ""
    return "not applied"


@dataclass(frozen=True, slots=True)
class EcsAgent:
    """The agent's endpoint as ECS gives it to each container; `minutes`: how long protection lasts unless renewed."""

    uri: str
    minutes: int

    def put(self, *, enabled: bool) -> str:
        """Ask for protection, or for its end; blocking. Returns the `verdict`.

        Raises:
            OSError: the agent cannot be reached, or is slow.
            http.client.HTTPException: it does not speak HTTP.
            msgspec.DecodeError: its answer is none.
        """
        where = urlsplit(self.uri)
        wanted = {"ProtectionEnabled": enabled} | ({"ExpiresInMinutes": self.minutes} if enabled else {})
        connection = http.client.HTTPConnection(where.netloc, timeout=AGENT_SECONDS)
        with contextlib.closing(connection):
            connection.request("PUT", where.path + PATH, json.dumps(wanted), {"Content-Type": "application/json"})
            return verdict(connection.getresponse().read(_LONGEST_ANSWER), enabled=enabled)


class Need:
    """What to ask ECS for: protection from the first live call to the last. Times are in seconds, on any one clock."""

    def __init__(self) -> None:
        self.live = 0
        self.held = False  # ECS has confirmed protection, and nothing else was asked for since
        self.again = NEVER  # when to ask although no call came or went
        self._last = False  # what was last asked for; a task starts without protection
        self._under_way = False

    @property
    def idle(self) -> bool:
        """Whether no answer is awaited."""
        return not self._under_way

    def ask(self, now: float) -> bool | None:
        """What to ask for now, if anything: protection or its end. `answered` must follow."""
        wanted = self.live > 0
        if self._under_way or (wanted is self._last and now < self.again):
            return None
        self._under_way, self._last = True, wanted
        self.held = self.held and wanted
        return wanted

    def answered(self, now: float, *, granted: bool) -> None:
        """ECS has done what was asked, or has not; then it may have done so all the same, so ask again."""
        self._under_way = False
        self.held = granted and self._last
        self.again = now + RETRY_SECONDS if not granted else now + RENEW_SECONDS if self._last else NEVER


class Protection:
    """Keeps ECS told. Without an agent, as everywhere but on ECS, nothing happens.

    `failed` is told ECS's reason, or the error's kind, whenever it did not work; once for as long as a deployment
    blocks, because that is no fault: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html
    """

    def __init__(self, agent: EcsAgent | None, failed: Callable[[str], None]) -> None:
        self._agent = agent
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._need = Need()
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._told = ""

    async def enter(self) -> None:
        """A call is about to be live: returns when its task is protected, or when that takes too long."""
        self._need.live += 1
        self._step(self._loop.time())
        if not self._need.held and not self._need.idle:
            await self._settled(PATIENCE)

    def leave(self) -> None:
        """A call is over."""
        self._need.live -= 1
        self._step(self._loop.time())

    async def close(self) -> None:
        """Ask for nothing more, after a moment for what is under way."""
        await self._settled(CLOSING_SECONDS)
        self._agent = None

    async def _settled(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    def _step(self, now: float) -> None:
        if self._agent is None:
            return
        wanted = self._need.ask(now)
        if wanted is not None:
            self._idle.clear()
            asking = self._loop.run_in_executor(None, partial(self._agent.put, enabled=wanted))
            asking.add_done_callback(self._answered)

    def _answered(self, answer: asyncio.Future[str]) -> None:
        error = answer.exception()
        why = type(error).__name__ if error else answer.result()
        now = self._loop.time()
        self._need.answered(now, granted=not why)
        if why and not why == self._told == BLOCKED:
            self._failed(why)
        self._told = why
        if self._timer:
            self._timer.cancel()
        # The time it is due is handed on: a timer may fire a little before it, and must count all the same.
        self._timer = self._loop.call_at(at, self._step, at) if (at := self._need.again) != NEVER else None
        self._step(now)
        if self._need.idle:
            self._idle.set()
