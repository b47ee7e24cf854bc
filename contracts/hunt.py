"""Whom to ring next: the walk of one transfer through the directory.

    closed           the destination's own answer to that, at once
    it rang in vain  the next target; past the last one, what `exhausted` says
    another key      that destination, unless this hunt was there before
    time is over     back to the agent, who asks the caller again

Pure: `now` is an argument, in seconds since the epoch. Whatever the outcomes, a hunt visits a destination once, and all
its rings together last `max_wait_seconds`, and five more at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from contracts.destination import (
    AGENT,
    GOODBYE,
    HANG_UP,
    NEXT,
    VOICEMAIL,
    Destination,
    Directory,
    Mode,
    Order,
    Position,
    Target,
)
from contracts.transfer import Outcome

MINIMUM_RING_SECONDS = 5
"""A shorter ring reaches nobody; it is also the least `timeout` that Twilio keeps.

https://www.twilio.com/docs/voice/twiml/dial#timeout
"""


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring `targets` together for `seconds`. `passed`: destinations found closed on the way here."""

    destination: Destination
    index: int
    targets: tuple[Target, ...]
    seconds: int
    mode: Mode
    passed: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """Where the hunt stands while this rings."""
        return Position(self.destination.key, self.index)


@dataclass(frozen=True, slots=True)
class End:
    """The hunt is over: it ended so (`outcome`) at `destination`, a key; `passed` were closed."""

    destination: str
    outcome: Outcome
    passed: tuple[str, ...] = ()


class ToAgent(End):
    """The agent goes on, and knows how it ended."""

    __slots__ = ()


class TakeMessage(End):
    """The caller leaves a message for the destination."""

    __slots__ = ()


class Goodbye(End):
    """A sentence tells the caller how it ended, and the call ends."""

    __slots__ = ()


class HangUp(End):
    """The call ends without a word: the caller has spoken with a person, or is gone."""

    __slots__ = ()


Step = Ring | ToAgent | TakeMessage | Goodbye | HangUp


def start(directory: Directory, key: str, *, now: float, with_agent: bool) -> Step:
    """The first step towards the destination of `key` (the default one, if there is none).

    Args:
        directory: who can be reached.
        key: what was asked for.
        now: the present time; the caller's waiting begins with it.
        with_agent: the caller is still with the agent; else nobody can be asked while the agent keeps company, and an
            attended destination is rung as a screened one.
    """
    return at(directory, Position(key), now=now, asked_at=now, visited=(), with_agent=with_agent)


def message(directory: Directory, key: str) -> TakeMessage | None:
    """The only step for a caller who would rather leave a message for `key` than be connected; None: none is taken."""
    if directory.voicemail is None:
        return None
    return TakeMessage(directory.resolve(key).key, Outcome.VOICEMAIL)


def at(
    directory: Directory, position: Position, *, now: float, asked_at: float, visited: Iterable[str], with_agent: bool
) -> Step:
    """The step of a position that was reached before, as the ledger row says it; hours are asked on arrival only.

    Args:
        directory: who can be reached.
        position: where the hunt stands.
        now: the present time.
        asked_at: when the first ring of this hunt began (`Transfer.begun_at`).
        visited: keys of the destinations this hunt has been to.
        with_agent: see `start`.
    """
    walk = _Walk(directory, now, asked_at, with_agent, frozenset(visited))
    destination = directory.resolve(position.destination)
    if position.index and destination.key == position.destination:
        return walk.ring(destination, position.index, Outcome.NO_ANSWER)
    return walk.arrive(destination)


def after(
    directory: Directory,
    position: Position,
    outcome: Outcome,
    *,
    now: float,
    asked_at: float,
    visited: Iterable[str],
    with_agent: bool,
) -> Step:
    """The step that follows when the ring at `position` ended with `outcome`; for the rest see `at`."""
    walk = _Walk(directory, now, asked_at, with_agent, frozenset(visited))
    destination = directory.destinations.get(position.destination)
    if outcome is Outcome.CALLER_GONE:
        return HangUp(position.destination, outcome)
    if destination is None:  # it was taken from the file while it rang
        return ToAgent(position.destination, outcome)
    return walk.follow(destination, position.index, _action(destination, outcome), outcome)


@dataclass(frozen=True, slots=True)
class _Walk:
    directory: Directory
    now: float
    asked_at: float
    with_agent: bool
    visited: frozenset[str]
    passed: tuple[str, ...] = field(default=())

    def arrive(self, destination: Destination) -> Step:
        here = replace(self, visited=self.visited | {destination.key})
        if destination.is_open(self.now):
            return here.ring(destination, 0, Outcome.NO_ANSWER)
        return here.follow(destination, 0, destination.disposition.closed, Outcome.CLOSED)

    def ring(self, destination: Destination, index: int, outcome: Outcome) -> Step:
        targets = destination.rung_at(index)
        if not targets:
            action = destination.disposition.exhausted
            return self.follow(destination, index, AGENT if action == NEXT else action, outcome)
        left = int(self.asked_at + self.directory.max_wait_seconds - self.now)
        if left < MINIMUM_RING_SECONDS:
            return ToAgent(destination.key, outcome, self.passed)
        seconds = min(left, max(target.ring_seconds for target in targets))
        return Ring(destination, index, targets, seconds, self._mode(destination, targets), self.passed)

    def follow(self, destination: Destination, index: int, action: str, outcome: Outcome) -> Step:
        key = destination.key
        passed = (*self.passed, key) if outcome is Outcome.CLOSED else self.passed
        if action == NEXT:
            following = len(destination.targets) if destination.ring is Order.AT_ONCE else index + 1
            return self.ring(destination, following, outcome)
        if action == VOICEMAIL and self.directory.voicemail is not None:
            return TakeMessage(key, outcome, passed)
        if action in {VOICEMAIL, GOODBYE}:
            return Goodbye(key, outcome, passed)
        if action == HANG_UP:
            return HangUp(key, outcome, passed)
        other = self.directory.destinations.get(action)
        if other is None or other.key in self.visited | {key}:  # it says agent, or would lead in a circle
            return ToAgent(key, outcome, passed)
        return replace(self, visited=self.visited | {key}, passed=passed).arrive(other)

    def _mode(self, destination: Destination, targets: tuple[Target, ...]) -> Mode:
        if any(target.kind.queues for target in targets):
            return Mode.DIRECT  # whoever answers a queue has accepted already
        if destination.mode is Mode.ATTENDED and not self.with_agent:
            return Mode.SCREENED
        return destination.mode


def _action(destination: Destination, outcome: Outcome) -> str:
    disposition = destination.disposition
    match outcome:
        case Outcome.BRIDGED:
            return disposition.completed
        case Outcome.BUSY:
            return disposition.busy
        case Outcome.DECLINED:
            return disposition.declined
        case Outcome.NO_ANSWER | Outcome.VOICEMAIL:
            return disposition.no_answer
        case Outcome.CLOSED:
            return disposition.closed
        case _:
            return disposition.failed
