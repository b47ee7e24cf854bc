"""The agent file in force, and the one a call began with.

A visit keeps the file it was given: nothing here changes one. What is new is checked whole before anybody gets it; what
cannot be used is refused, logged, and the last good one stays. All reading happens in a thread, beside the audio.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contracts import agent_file, events
from contracts.agent_file import AgentFile, AgentFileError
from contracts.edition import Editions, edition_of, text_of
from contracts.events import Event
from contracts.feed import Feed

REMEMBERED = 8  # editions that live calls may have begun with
WATCH_SECONDS = 0.5  # between two looks at a file
_UNREACHABLE = (BotoCoreError, ClientError, OSError)

Log = Callable[[Event, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition of the agent file; `name` follows from its text."""

    name: str
    agent: AgentFile


def edition(text: str, where: str) -> Edition:
    """Read an edition, checked whole.

    Raises:
        AgentFileError: it cannot be used; each line begins with `where` and names path and remedy.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise AgentFileError(f"{where}: is nested too deeply; correct it") from error
    except ValueError as error:
        raise AgentFileError(f"{where}: is not JSON ({error}); correct it") from error
    return Edition(edition_of(text), agent_file.check(content, where))


def read_file(path: Path) -> str:
    """An agent file as an edition's text, unchecked.

    Raises:
        AgentFileError: it is missing, is not YAML, or holds what JSON cannot.
    """
    content = agent_file.content(path)
    try:
        return text_of(content)
    except ValueError as error:
        raise AgentFileError(f"{path}: {error}; correct it") from error


class LiveConfig:
    """The editions this relay knows.

    Args:
        feed: where news come from.
        first: what is good until there are any; the file in the image.
        editions: where those of live calls are kept.
        executor: runs what waits.
        log: takes each event and its fields.
    """

    def __init__(self, feed: Feed, first: Edition, *, editions: Editions, executor: Executor, log: Log) -> None:
        self._feed = feed
        self._current = first
        self._editions = editions
        self._executor = executor
        self._log = log
        self._reachable = True
        self._known: dict[str, Edition] = {}

    @property
    def current(self) -> AgentFile:
        """The file in force."""
        return self._current.agent

    async def of(self, reference: str) -> AgentFile:
        """The file that a call began with; the one in force if that cannot be found, or the row names none."""
        name = reference.partition("-")[0]
        if not name or name == self._current.name:
            return self.current
        try:
            found = self._known.get(name) or await self._in_thread(self._find, reference)
        except AgentFileError as refused:
            self._log(events.CONFIG_REFUSED, {"edition": name, "source": "ledger", "why": str(refused)})
            return self.current
        except _UNREACHABLE as error:
            self._log(events.LEDGER_FAILED, {"operation": "find_edition", "error": type(error).__name__})
            return self.current
        if found is None:
            return self.current
        self._remember(found)
        return found.agent

    async def poll(self) -> None:
        """Ask for news once."""
        try:
            new = await self._in_thread(self._news)
        except AgentFileError as refused:
            self._log(events.CONFIG_REFUSED, {"source": self._feed.name, "why": str(refused)})
        except _UNREACHABLE as error:
            if self._reachable:  # said once, until it is back
                self._log(events.CONFIG_UNREACHABLE, {"source": self._feed.name, "error": type(error).__name__})
            self._reachable = False
            return
        else:
            if new is not None and new.name != self._current.name:
                self._remember(self._current)
                self._current = new
                self._log(events.CONFIG_LOADED, {"edition": new.name, "source": self._feed.name})
        self._reachable = True

    async def keep_fresh(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Ask for news for ever; `sleep` as `asyncio.sleep`."""
        while True:
            await self.poll()
            await sleep(self._feed.interval or WATCH_SECONDS)

    async def _in_thread(self, work: Callable[..., Edition | None], *arguments: str) -> Edition | None:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def _news(self) -> Edition | None:
        text = self._feed.poll()
        if text is None or edition_of(text) == self._current.name:
            return None
        return edition(text, self._feed.name)

    def _find(self, reference: str) -> Edition | None:
        text = self._editions.find(reference)
        return edition(text, "ledger") if text else None

    def _remember(self, one: Edition) -> None:
        self._known[one.name] = one
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
