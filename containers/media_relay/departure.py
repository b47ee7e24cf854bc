"""How a call leaves the agent: to a person, or to its end. Pure.

announcing  the agent says what happens now; at most `ANNOUNCE_SECONDS`, and nothing the caller says undoes it
leaving     the request has left; the agent is mute and a caller who goes to a person hears ringing
"""

from __future__ import annotations

from containers.media_relay.actions import (
    Action,
    CloseModel,
    Log,
    NoteTransfer,
    QueueTransfer,
    RecordEnd,
    ToEnd,
    ToPerson,
)
from containers.media_relay.silence import NEVER, RING_AFTER
from containers.media_relay.speech import Speech
from contracts import events

ANNOUNCE_SECONDS = 4.0
GOODBYE_SECONDS = 15.0  # a goodbye is heard to its end, unless it has none
GOODBYE_MARGIN = 0.5  # for the mark at its end to come back
TAKE_AWAY_SECONDS = 8.0  # then the stream is ended, and the webhook does the transfer under the same claim
RECORD_SECONDS = 2.0  # what the ledger gets to note the end of a call


class Departure:
    """One departure under way.

    `deadline`: when it goes on if nothing happens; `line_sent`: the announcing sentence is wholly with Twilio.
    """

    def __init__(self, to: ToPerson | ToEnd, speech: Speech, now: float) -> None:
        self.to = to
        self.deadline = now + ANNOUNCE_SECONDS
        self.left = False
        self.line_sent = False
        self._speech = speech
        self._asked_at = now

    def announce(self, farewell: str, now: float) -> list[Action]:
        """Have the agent say what happens now, if it is not saying so already: `farewell` is what it is asked to."""
        responses = self._speech.responses
        responses.forget()
        if responses.active and responses.audible and responses.hears(responses.active):
            return self._promised()
        self._speech.ring_at = now + RING_AFTER if isinstance(self.to, ToPerson) else NEVER
        return [*self._promised(), *responses.ask(farewell, use_tools=False)]

    def asked(self) -> list[Action]:
        """Note that a person was asked for."""
        if isinstance(self.to, ToEnd):
            return []
        return [Log(events.HANDOFF_ASKED, {"destination": self.to.destination, "reason": self.to.reason.value})]

    def _promised(self) -> list[Action]:
        """The caller is told before the request leaves; a relay that is lost between keeps the promise all the same."""
        return [*self.asked(), NoteTransfer(self.to)] if isinstance(self.to, ToPerson) else []

    def announced(self) -> bool:
        """Whether the line has been heard, which a mark tells, and nothing has left yet."""
        return self.line_sent and not self.left and not self._speech.playout.playing

    def leave(self, how: str, now: float) -> list[Action]:
        """The request leaves now; `how` says what became of the announcement."""
        self.left = True
        remembered = self._speech.memory.flush()
        if isinstance(self.to, ToEnd):
            self.deadline = now + RECORD_SECONDS
            return [*remembered, RecordEnd(self.to.reason), CloseModel()]
        self.deadline = now + TAKE_AWAY_SECONDS
        self._speech.start_ringing(now)
        announced = Log(events.HANDOFF_ANNOUNCED, {"how": how, "ms": round((now - self._asked_at) * 1000)})
        return [announced, *remembered, QueueTransfer(self.to), CloseModel()]

    def join(self, now: float) -> list[Action]:
        """A person who was called meanwhile has accepted: the agent is mute, and the caller is taken to them."""
        self.left, self.deadline = True, now + TAKE_AWAY_SECONDS
        self._speech.ring_at = now + RING_AFTER
        return [*self._speech.memory.flush(), CloseModel()]

    def due(self, now: float) -> bool:
        """Whether the deadline has come; a goodbye that still plays moves it, within `GOODBYE_SECONDS`."""
        if now < self.deadline:
            return False
        ends_at, latest = self._speech.playout.ends_at(now), self._asked_at + GOODBYE_SECONDS
        if self.left or isinstance(self.to, ToPerson) or now >= ends_at or now >= latest:
            return True
        self.deadline = min(ends_at + GOODBYE_MARGIN, latest)
        return False
