"""The fleet's circuit breaker for the model: whether a call that comes in is worth an agent, decided from one item.

closed --FAILURES in a row--> open --OPEN_SECONDS--> half-open --one call gets through--> open again, for as long
   ^                            |                                                           |
   +----------------------------+------------------- a call has heard the agent ------------+

Whoever lets the one call through a half-open breaker opens it anew by that, so nobody else does, and a call that is
never heard of again blocks nothing. Failures count as in a row when nothing worked between them, anywhere, and each
came within APART_SECONDS of the one before: a quiet night's failures are no outage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.store import Client

FAILURES = 5
OPEN_SECONDS = 30.0
APART_SECONDS = 60.0
_KEY = {"call_sid": {"S": "breaker#model"}}  # beside the rows, which begin with CA
_RACES = 10


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row, the last at `failed_at`; `open_until` 0: closed. Seconds since the epoch."""

    failures: int = 0
    failed_at: float = 0.0
    open_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The breaker as it was read; `revision` counts the writes, and a write is conditional on it."""

    breaker: Breaker
    revision: int


class Verdict(StrEnum):
    """What becomes of a call that comes in."""

    ADMITTED = "admitted"
    PROBE = "probe"
    DIVERTED = "diverted"


CLOSED = Breaker()


def failed(breaker: Breaker, now: float) -> Breaker | None:
    """A call's model has failed; None: that changes nothing."""
    if breaker.open_until > now:
        return None
    if breaker.open_until:  # half-open
        return Breaker(breaker.failures + 1, now, now + OPEN_SECONDS)
    failures = breaker.failures + 1 if now - breaker.failed_at <= APART_SECONDS else 1
    return Breaker(failures, now, now + OPEN_SECONDS if failures >= FAILURES else 0.0)


def worked(breaker: Breaker) -> Breaker | None:
    """A call has heard the agent; None: that changes nothing."""
    return None if breaker == CLOSED else CLOSED


def admit(breaker: Breaker, now: float) -> tuple[Verdict, Breaker | None]:
    """What becomes of a call that comes in now, and the breaker to write if it is the one that is let through."""
    if not breaker.open_until:
        return Verdict.ADMITTED, None
    if breaker.open_until > now:
        return Verdict.DIVERTED, None
    return Verdict.PROBE, Breaker(breaker.failures, breaker.failed_at, now + OPEN_SECONDS)


class Breakers:
    """The breaker's item in the ledger's table; the client's errors pass through.

    Args:
        client: a low-level DynamoDB client.
        table: its name; key `call_sid` (S).
        now: seconds since the epoch.
    """

    def __init__(self, client: Client, table: str, now: Callable[[], float]) -> None:
        self._client = client
        self._lost_race: type[Exception] = client.exceptions.ConditionalCheckFailedException
        self._table = table
        self._now = now

    def failed(self) -> Breaker | None:
        """A call's model has failed. The breaker as it is now if this has opened it, else None."""
        written = self._change(lambda breaker: failed(breaker, self._now()))
        return written if written and written.open_until else None

    def worked(self) -> bool:
        """A call has heard the agent. Whether this has closed the breaker."""
        before = CLOSED

        def decide(breaker: Breaker) -> Breaker | None:
            nonlocal before
            before = breaker
            return worked(breaker)

        return self._change(decide) is not None and before.open_until > 0

    def read(self) -> Reading:
        """The breaker as of the last write: one consistent read."""
        found: dict[str, Any] = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        item = found.get("Item")
        if not item:
            return Reading(CLOSED, 0)
        numbers = {name: float(item[name]["N"]) for name in ("failed_at", "open_until")}
        return Reading(Breaker(int(item["failures"]["N"]), **numbers), int(item["revision"]["N"]))

    def admit(self, reading: Reading) -> Verdict:
        """What becomes of a call that comes in; a write only if it is the one let through."""
        verdict, probed = admit(reading.breaker, self._now())
        return Verdict.DIVERTED if probed and not self._write(probed, reading) else verdict

    def _change(self, decide: Callable[[Breaker], Breaker | None]) -> Breaker | None:
        """What was written; None: nothing, also when every try lost its race, for then others have said the same."""
        for _ in range(_RACES):
            reading = self.read()
            decided = decide(reading.breaker)
            if decided is None or self._write(decided, reading):
                return decided
        return None

    def _write(self, breaker: Breaker, read: Reading) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_KEY,
                UpdateExpression="SET failures = :f, failed_at = :a, open_until = :o, revision = :next",
                ConditionExpression="attribute_not_exists(revision) OR revision = :read",
                ExpressionAttributeValues={
                    ":f": {"N": str(breaker.failures)},
                    ":a": {"N": repr(breaker.failed_at)},
                    ":o": {"N": repr(breaker.open_until)},
                    ":next": {"N": str(read.revision + 1)},
                    ":read": {"N": str(read.revision)},
                },
            )
        except self._lost_race:
            return False
        return True
