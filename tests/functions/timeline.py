"""Simulated time for code that blocks: tasks are threads, and exactly one runs at any moment."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable

GUARD_SECONDS = 60


class Killed(BaseException):
    """What ends an invocation whose machine is gone: no handler catches it."""


class _Task:
    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run
        self.thread: threading.Thread | None = None
        self.go = threading.Semaphore(0)


class Timeline:
    """A clock and what is due on it. `now` moves only to the next thing that is due."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.now = now
        self._due: list[tuple[float, int, _Task]] = []
        self._order = itertools.count()
        self._back = threading.Semaphore(0)
        self._current: _Task | None = None
        self._failure: BaseException | None = None

    @property
    def idle(self) -> bool:
        """Nothing runs: it is the test itself that asks."""
        return self._current is None

    def clock(self) -> float:
        return self.now

    def at(self, seconds_from_now: float, run: Callable[[], None]) -> None:
        """Run something as a task of its own, later."""
        self._push(seconds_from_now, _Task(run))

    def sleep(self, seconds: float) -> None:
        """Called inside a task: let time pass, and others run."""
        task = self._current
        assert task is not None, "only tasks sleep"
        self._push(seconds, task)
        self._back.release()
        assert task.go.acquire(timeout=GUARD_SECONDS), "the timeline stands still"

    def run(self, seconds: float = math.inf) -> None:
        """Let everything due within `seconds` happen, in order."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            when, _, task = heapq.heappop(self._due)
            self.now = max(self.now, when)
            self._resume(task)
            if self._failure is not None:
                raise self._failure
        if end != math.inf:
            self.now = end

    def _push(self, seconds: float, task: _Task) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._order), task))

    def _resume(self, task: _Task) -> None:
        self._current = task
        if task.thread is None:
            task.thread = threading.Thread(target=self._live, args=(task,), daemon=True)
            task.thread.start()
        else:
            task.go.release()
        assert self._back.acquire(timeout=GUARD_SECONDS), "a task does not give the baton back"
        self._current = None

    def _live(self, task: _Task) -> None:
        try:
            task.run()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            self._failure = error
        self._back.release()
