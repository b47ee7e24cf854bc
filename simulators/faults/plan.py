"""What goes wrong in a call, as data: when, who, what, for how long. Tests, demonstrations and the campaign share it.

faults:
  - {after: response.audio, at: 0.5, who: model, what: dies, for: 20}
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.event_log import EventLog

Who = Literal["model", "relay", "queue", "ledger", "secrets", "carrier", "network"]
What = Literal[
    "dies",
    "closes",
    "refuses",
    "black_hole",
    "stall",
    "deaf",
    "mute",
    "zeros",
    "fails",
    "slow",
    "tardy",
    "down",
    "kill",
    "stop",
    "term",
]

CAN: Final[Mapping[str, frozenset[str]]] = {
    "model": frozenset({"dies", "closes", "refuses", "black_hole", "stall", "deaf", "mute", "zeros", "fails", "slow"}),
    "relay": frozenset({"kill", "stop", "term"}),
    "queue": frozenset({"down", "slow", "tardy"}),
    "ledger": frozenset({"down", "slow", "tardy"}),
    "secrets": frozenset({"down", "slow", "tardy"}),
    "carrier": frozenset({"refuses", "fails", "slow"}),
    "network": frozenset({"dies", "black_hole", "slow"}),
}
"""What may befall whom. `network` is what lies between the carrier and the relay; `carrier` is its REST API."""


class Fault(BaseModel):
    """One thing that goes wrong.

    Attributes:
        after: the event of the call that must have happened first; "" is the beginning of the call.
        at: seconds after that.
        who: what breaks.
        what: how.
        lasts: seconds until it is mended, `for` in a file; None is never. What dies once is not brought back by it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str = ""
    at: float = Field(default=0.0, ge=0)
    who: Who
    what: What
    lasts: float | None = Field(default=None, alias="for", gt=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.what not in CAN[self.who]:
            raise ValueError(f"{self.who} cannot {self.what}; one of {', '.join(sorted(CAN[self.who]))}")
        return self


class Levers(Protocol):
    """What brings faults about."""

    def pull(self, who: str, what: str) -> Callable[[], None]:
        """Bring a fault about; what is returned mends it."""
        ...


@asynccontextmanager
async def unfolding(faults: Sequence[Fault], levers: Levers, log: EventLog, call_sid: str) -> AsyncIterator[None]:
    """Let the faults of a call befall it while the block lasts; at its end everything is mended."""
    tasks = [asyncio.create_task(_befall(fault, levers, log, call_sid)) for fault in faults]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _befall(fault: Fault, levers: Levers, log: EventLog, call_sid: str) -> None:
    def due(event: Mapping[str, Any]) -> bool:
        return event["event"] == fault.after and event.get("call_sid") == call_sid

    if fault.after:
        await log.first(due, seconds=3600)
    await asyncio.sleep(fault.at)
    mend = levers.pull(fault.who, fault.what)
    try:
        await asyncio.sleep(3600 if fault.lasts is None else fault.lasts)
    finally:
        mend()
