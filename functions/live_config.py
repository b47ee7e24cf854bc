"""The directory in force, and the one a call began with.

What decides here: a new edition is taken only if it can be used; the last good one stays. A call that begins when news
are due waits for them, a second at most, so that what was pushed fifteen seconds ago is what it gets; no other request
waits, and none at all while the service is away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contracts import events
from contracts.directory import Directory, load, parse, unreadable
from contracts.edition import Editions, edition_of, text_of
from contracts.feed import AppConfigFeed, Feed, FileFeed, ProfileName
from contracts.row import Row
from functions.clients import aws
from functions.environment import EnvironmentRefused
from functions.eventlog import EventLog

WAIT_SECONDS = 1.0
REMEMBERED = 8  # editions that live calls may have begun with
_UNREACHABLE = (BotoCoreError, ClientError, OSError)

Spawn = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition of the agent file, as far as functions read it. `text` is JSON; `name` follows from it."""

    name: str
    text: str
    directory: Directory


def edition(text: str) -> Edition:
    """Read an edition.

    Raises:
        ValueError: it cannot be used; the text names path and remedy (`DirectoryRefused`), or says that it is no JSON.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("(whole file): is nested too deeply; correct it") from error
    return Edition(edition_of(text), text, parse(content))


def _deployed(path: Path) -> Edition:
    """The file as it was deployed, where it was checked: nothing is imported for it that a caller would wait for."""
    content, directory = load(path)
    try:
        text = text_of(content)
    except ValueError as error:
        raise unreadable(path, error) from error
    return Edition(edition_of(text), text, directory)


def _written(path: Path) -> str:
    """The file as somebody has just written it: checked whole, which needs more than a Lambda's bundle holds."""
    from contracts import agent_file  # noqa: PLC0415

    content = agent_file.content(path)
    agent_file.check(content, path)
    return text_of(content)


def _in_a_thread(work: Callable[[], None]) -> None:
    Thread(target=work, name="live-config", daemon=True).start()


class LiveConfig:
    """The editions a function knows. Threads may share it.

    Args:
        feed: where news come from.
        first: what is good until there are any; the file that was deployed.
        editions: where those of live calls are kept.
        log: of the function.
        now: any clock in seconds that does not stop while the function sleeps.
        spawn: does its argument beside the request.
    """

    def __init__(
        self,
        feed: Feed,
        first: Edition,
        *,
        editions: Editions,
        log: EventLog,
        now: Callable[[], float],
        spawn: Spawn = _in_a_thread,
    ) -> None:
        self._feed = feed
        self._current = first
        self._editions = editions
        self._log = log
        self._now = now
        self._spawn = spawn
        self._lock = Lock()
        self._polling: Event | None = None
        self._polled_at = self._patient_until = float("-inf")
        self._reachable = True
        self._known: dict[str, Edition] = {}

    def current(self) -> Edition:
        """The edition for a call that begins now."""
        with self._lock:
            if self._polling is None and self._now() - self._polled_at < self._feed.interval:
                return self._current
            polling, begins = self._polling or Event(), self._polling is None
            self._polling = polling
            if begins:
                self._patient_until = self._now() + WAIT_SECONDS
        if begins and self._feed.interval:
            self._spawn(lambda: self._poll(polling))
        elif begins:
            self._poll(polling)  # a look at a file
        if self._reachable:  # whoever asked first: calls that begin together get the same
            polling.wait(self._patient_until - self._now())
        return self._current

    def begin(self) -> str:
        """A call begins now: the reference to its edition, for its row.

        The table's errors pass through: its row is about to be written there as well, and a caller waits for one
        failure, not two.
        """
        return self._editions.keep(self.current().text)

    def people(self, row: Row | None) -> Directory:
        """Whom the call of this row can reach; None: its row cannot be read."""
        return (self.of(row.call.edition) if row else self.current()).directory

    def of(self, reference: str) -> Edition:
        """The edition that a call began with; the current one if that cannot be found."""
        name = reference.partition("-")[0]
        current = self._current
        if not name or name == current.name:
            return current if name else self.current()
        with self._lock:
            if known := self._known.get(name):
                return known
        try:
            text = self._editions.find(reference)
            found = edition(text) if text else None
        except (*_UNREACHABLE, ValueError) as error:
            self._log.write(events.LEDGER_FAILED, operation="find_edition", error=type(error).__name__)
            found = None
        if found is None:
            return self.current()
        self._remember(found)
        return found

    def _poll(self, done: Event) -> None:
        try:
            text = self._feed.poll()
            if text is not None and edition_of(text) != self._current.name:
                self._take(text)
            self._reachable = True
        except ValueError as refused:
            self._refuse("", refused)
        except _UNREACHABLE as error:
            if self._reachable:  # said once, until it is back
                self._log.write(events.CONFIG_UNREACHABLE, source=self._feed.name, error=type(error).__name__)
            self._reachable = False
        finally:
            with self._lock:
                self._polled_at, self._polling = self._now(), None
            done.set()

    def _take(self, text: str) -> None:
        try:
            new = edition(text)
        except ValueError as refused:
            self._refuse(edition_of(text), refused)
            return
        self._remember(self._current)
        self._current = new
        self._log.write(events.CONFIG_LOADED, edition=new.name, source=self._feed.name)

    def _refuse(self, name: str, refused: ValueError) -> None:
        self._log.write(events.CONFIG_REFUSED, edition=name or None, source=self._feed.name, why=str(refused))

    def _remember(self, one: Edition) -> None:
        with self._lock:
            self._known[one.name] = one
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]


def build(
    environ: Mapping[str, str],
    *,
    dynamodb: Any,
    table: str,
    log: EventLog,
    appconfigdata: Any = None,
    now: Callable[[], float] = time.time,
    spawn: Spawn = _in_a_thread,
) -> LiveConfig:
    """Wire it from a function's environment: `LIVE_CONFIG` names the AppConfig profile; without it the file is watched.

    Raises:
        EnvironmentRefused: LIVE_CONFIG has not its form.
        DirectoryRefused: the agent file cannot be read, or has no usable directory.
    """
    path = Path(environ.get("AGENT_FILE") or "agent.yaml")
    first = _deployed(path)
    feed: Feed
    if profile := environ.get("LIVE_CONFIG"):
        try:
            name = ProfileName.parse(profile)
        except ValueError as error:
            raise EnvironmentRefused(str(error)) from None
        feed = AppConfigFeed(appconfigdata or aws("appconfigdata"), name)
    else:
        feed = file = FileFeed(path, _written)
        file.skip()
    return LiveConfig(feed, first, editions=Editions(dynamodb, table, now), log=log, now=now, spawn=spawn)
