"""The rows of the campaign: what is broken, how often, and what holds in spite of it.

A row is played (calls through real processes and sockets, judged at the caller's ear) or proved by the tests named
after it; most are both. Limits are seconds of silence at the caller's ear when it is not the caller's turn. Every turn
takes `TURN_SECONDS` of them (the model waits half a second before it takes a turn for over), so the limit of a row
is its own figure and that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TURN_SECONDS: Final = 0.7
DRAIN_SECONDS: Final = 100  # what a relay has to leave, as deployed; in the last two fifths its calls move


@dataclass(frozen=True, slots=True)
class Play:
    """Calls that meet a fault.

    Attributes:
        row: the criterion.
        fault: in words, for the page.
        who, what: as in a scenario; both "" is no fault at all.
        calls: how many, in a full campaign.
        silence: the longest that a caller may hear nothing, in seconds.
        from_start: the fault is there before the calls; otherwise it comes at a random moment of each.
        asks: the callers ask for a person as soon as the fault is there.
        at_once: how many calls are up together; 0 is the campaign's own number.
        brief: the callers leave after the agent's first words.
        ends: with whom a call may end.
        felt_after: seconds after the fault until a call may feel it.
        direct: the fault leaves model and network alone, so none of our proxies stands in it, and the model has a
            process of its own: one could not play so many at once.
        sign: what the log tells of a call that feels it: an event's name, and how its `why` begins; "" is nothing,
            since the fault is none, or spares some (of a fleet that knows the model is down; two answers of three).
    """

    row: str
    fault: str
    who: str
    what: str
    calls: int
    silence: float
    from_start: bool = False
    asks: bool = False
    at_once: int = 0
    brief: bool = False
    ends: frozenset[str] = frozenset({"person", "agent", "sentence"})
    felt_after: float = 0
    direct: bool = False
    sign: str = ""

    def shows(self, line: Mapping[str, object]) -> bool:
        """Whether a line of the log tells that its call feels the fault."""
        name, _, why = self.sign.partition(" ")
        return line.get("event") == name and str(line.get("why", "")).startswith(why)


PLAYS: Final = (
    Play("control", "none", "", "", 60, 1.0 + TURN_SECONDS, ends=frozenset({"agent"})),
    Play("control", "none; callers press 0", "", "", 40, 1.0 + TURN_SECONDS, asks=True, ends=frozenset({"person"})),
    Play("R1", "the model refuses (503)", "model", "refuses", 60, 1.5 + TURN_SECONDS, from_start=True),
    Play("R2", "the model accepts and says nothing", "model", "stall", 40, 3.0, from_start=True),
    Play(
        "R3",
        "the model's connection is closed (FIN)",
        "model",
        "closes",
        500,
        1.0 + TURN_SECONDS,
        at_once=20,
        sign="model.failed",
    ),
    Play(
        "R3",
        "its connection is reset (RST), and it stays away",
        "model",
        "dies",
        500,
        1.0 + TURN_SECONDS,
        at_once=20,
        sign="model.failed",
    ),
    Play("R4", "a black hole before the model", "model", "black_hole", 40, 7.0, sign="model.failed"),
    Play("R6", "responses fail: rate limit", "model", "fails", 40, 4.0, sign="handoff.asked"),
    Play("R7", "the model answers without sound", "model", "mute", 40, 8.0 + TURN_SECONDS, sign="handoff.asked"),
    Play("R7", "the model answers with zeros", "model", "zeros", 40, 8.0 + TURN_SECONDS, sign="handoff.asked"),
    Play("R7", "the model lives and hears nothing", "model", "deaf", 40, 4.0 + TURN_SECONDS, sign="speech.unheard"),
    Play("R9", "the carrier's socket is reset", "network", "dies", 100, 3.0, sign="stream.question"),
    Play(
        "R14",
        "SIGTERM",
        "relay",
        "term",
        100,
        3.0,
        at_once=100,
        felt_after=DRAIN_SECONDS,
        direct=True,
        sign="stream.ended relay_draining",
    ),
    Play("R15", "kill -9 of the relay", "relay", "kill", 200, 3.0, sign="stream.question"),
    Play("R16", "SIGSTOP of the relay", "relay", "stop", 50, 15.0, sign="call.swept"),
    Play("R17", "the queue answers 503", "queue", "down", 600, 4.0, asks=True, at_once=40, sign="effect.failed"),
    Play(
        "R17", "the queue answers late (1.5 s)", "queue", "slow", 400, 4.0, asks=True, at_once=40, sign="effect.failed"
    ),
    Play(
        "R22", "Twilio's API answers 500", "carrier", "fails", 24, 10.0, asks=True, sign="stream.ended not_taken_away"
    ),
    Play(
        "R22", "Twilio's API answers 429", "carrier", "refuses", 24, 10.0, asks=True, sign="stream.ended not_taken_away"
    ),
    Play("R35", "the ledger answers 503", "ledger", "down", 40, 4.0, from_start=True, sign="ledger.failed"),
    Play("R35", "the ledger goes down during the call", "ledger", "down", 40, 4.0, asks=True, sign="effect.failed"),
    Play(
        "R35",
        "the ledger answers late (1.5 s)",
        "ledger",
        "slow",
        40,
        4.0,
        from_start=True,
        sign="default_person.dialled",
    ),
    # A handshake may take its three seconds, and a webhook then two for each answer that is late.
    Play("R35", "the ledger keeps back every third answer (2.5 s)", "ledger", "tardy", 40, 10.0, from_start=True),
    Play("R35", "it does so from the middle of the call on", "ledger", "tardy", 40, 10.0, asks=True),
    Play("R36", "soak: short calls", "", "", 1000, 3.0, brief=True, ends=frozenset({"agent"})),
)
QUICK: Final = frozenset({("R3", "dies"), ("R15", "kill")})
QUICK_CALLS: Final = 3

MOVED_ROW: Final = "R14"
MOVED_CALLS: Final = 100
MOVED_AT_ONCE: Final = 20
"""Calls that `simulators.move` moves amid a sentence."""

STORMS: Final[dict[str, tuple[str, int]]] = {
    "R18": ("copies of a request, 1 to 5, overlapping", 1_000),
    "R21": ("the function is killed anywhere, copies follow", 10_000),
    "R22": ("429, 5xx, timeouts, accepted or not", 10_000),
}
"""Rows whose thousands run in virtual time: `python -m tests.functions.storm`."""

MARKED_ROW: Final = "S23"
MARKED_RUNS: Final = 10
"""Runs of 200 calls side by side, each with octets of its own: `python -m tests.fuzz.marks`."""
