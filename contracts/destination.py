"""Whom a caller can reach: destinations, their targets, and what becomes of a caller nobody takes.

Values only. `contracts/directory.py` reads them from the agent file, `contracts/hunt.py` walks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.hours import Schedule


class TargetKind(StrEnum):
    """What rings, in the words of the agent file."""

    PHONE = "phone"
    SIP = "sip"
    CLIENT = "client"
    QUEUE = "queue"
    WORKFLOW = "workflow"

    @property
    def queues(self) -> bool:
        """Whether the caller waits in a line of callers (`<Enqueue>`) instead of ringing somebody (`<Dial>`)."""
        return self in {TargetKind.QUEUE, TargetKind.WORKFLOW}


class Order(StrEnum):
    """How the targets of a destination ring."""

    IN_ORDER = "in_order"
    AT_ONCE = "at_once"


class Mode(StrEnum):
    """How a person and a caller meet: at once, after the person's key, or after it while the caller stays put."""

    DIRECT = "direct"
    SCREENED = "screened"
    ATTENDED = "attended"


class Channel(StrEnum):
    """How a message reaches the people it is for."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    TOPIC = "topic"


NEXT, AGENT, VOICEMAIL, GOODBYE, HANG_UP = "next", "agent", "voicemail", "goodbye", "hang_up"
WORDS = frozenset({NEXT, AGENT, VOICEMAIL, GOODBYE, HANG_UP})


@dataclass(frozen=True, slots=True)
class Position:
    """Where a hunt stands: the `index`th target of a destination (of those that ring at once, the first)."""

    destination: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that rings for `ring_seconds`: E.164 number, SIP URI, client identity, queue name or workflow SID."""

    kind: TargetKind
    address: str
    ring_seconds: int


@dataclass(frozen=True, slots=True)
class Disposition:
    """What happens after each way a ring can end.

    Each is `next`, `agent`, `voicemail`, `goodbye` or another destination's key; `closed` and `exhausted` are never
    `next`, `completed` is `hang_up` or `agent`.
    """

    no_answer: str = NEXT
    busy: str = NEXT
    declined: str = NEXT
    failed: str = NEXT
    closed: str = AGENT
    exhausted: str = AGENT
    completed: str = HANG_UP


@dataclass(frozen=True, slots=True)
class Destination:
    """People who answer for one thing. `schedule` None: always open; `digit` is the DTMF key for it, or ""."""

    key: str
    name: str
    description: str
    targets: tuple[Target, ...]
    ring_seconds: int = 20
    ring: Order = Order.IN_ORDER
    mode: Mode = Mode.DIRECT
    schedule: Schedule | None = None
    whisper: str = ""
    digit: str = ""
    disposition: Disposition = Disposition()

    @property
    def number(self) -> str:
        """The first phone target's number; "" if none."""
        return next((one.address for one in self.targets if one.kind is TargetKind.PHONE), "")

    def is_open(self, at: float) -> bool:
        """Whether somebody may be rung at `at` (seconds since the epoch)."""
        return self.schedule is None or self.schedule.is_open(at)

    def rung_at(self, index: int) -> tuple[Target, ...]:
        """The targets that ring together at a position; empty past the last."""
        if self.ring is Order.AT_ONCE:
            return self.targets if index == 0 else ()
        return self.targets[index : index + 1]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a message goes: an https URL, an e-mail address, or a topic's ARN. `sender`: of an e-mail, else ""."""

    channel: Channel
    address: str
    sender: str = ""

    @property
    def permission(self) -> str:
        """What a stack must be allowed to send as (e-mail) or to (topic); "" for a webhook, which takes no leave."""
        return "" if self.channel is Channel.WEBHOOK else self.sender or self.address


@dataclass(frozen=True, slots=True)
class Voicemail:
    """How a message is taken and where it goes."""

    greeting: str
    max_seconds: int
    deliver: Delivery


@dataclass(frozen=True, slots=True)
class ScreenPop:
    """Where the link to a call's summary goes when a telephone rings, and for how many minutes it opens."""

    deliver: Delivery
    minutes: int = 15


@dataclass(frozen=True, slots=True)
class Guards:
    """What a transfer may never exceed. `countries` are the permitted beginnings of E.164 numbers."""

    countries: tuple[str, ...]
    transfers_per_call: int = 5
    transfers_per_caller_per_day: int = 20
    enabled: bool = True

    def permits(self, number: str) -> bool:
        """Whether a number lies in a permitted country."""
        return number.startswith(self.countries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Whom a caller can reach, and within which bounds; times in seconds."""

    destinations: Mapping[str, Destination]
    default: Destination
    guards: Guards
    dial_seconds: int = 3600
    max_wait_seconds: int = 90
    voicemail: Voicemail | None = None
    screen_pop: ScreenPop | None = None
    language: str = "en"
    digits: Mapping[str, str] = field(default_factory=dict)
    """DTMF key to destination key; "0" asks for the default one unless it was given to another."""

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every place that messages go to."""
        return tuple(one.deliver for one in (self.voicemail, self.screen_pop) if one)

    def resolve(self, key: str) -> Destination:
        """The destination of a key, or the default one: compare its `key` to know."""
        return self.destinations.get(key, self.default)
