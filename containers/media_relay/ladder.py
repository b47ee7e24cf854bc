"""What is done for a caller whose agent is lost, and when. Pure.

    lost ──► another session of the model, in silence ──► a line of our own ──► a person
              within two seconds or so                     after 0.8 s           after 3.5 s, or 6 s without a word,
                                                                                 or the second loss within 30 s

Another session is told the conversation as it was heard, and what it owes the caller (`Owed`). Where another try is in
vain (`fatal`) a person is asked for at once. A session is renewed in the same way before its 60 minutes are over, when
nobody speaks. A model that says nothing though the caller has spoken is asked for a sign of life (`probe_at`).
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from containers.media_relay.silence import NEVER

LINE_AFTER = 0.8  # seconds of silence on the agent's turn
LINE_LEAST = 0.4  # seconds from the loss, when the silence is older than that
AGAIN_WITHIN = 30.0  # seconds in which a second loss is one too many
SPEECH_WITHIN = 6.0  # seconds from the end of what was heard to the voice of the agent that came back
PROBE_SECONDS = 3.0  # what a model gets to answer a question that costs it nothing: as much as a ping
PROBE_EVERY = 5.0
KEPT_FRAMES = 75  # of the caller's audio, the latest 1.5 s
# A session lives 60 minutes: https://developers.openai.com/api/docs/guides/realtime-conversations
RENEW_AFTER, RENEW_BY = 50 * 60.0, 58 * 60.0
LOOK_AGAIN = 0.5  # seconds, for a moment between two turns

# https://developers.openai.com/api/docs/guides/error-codes: what stays wrong however often it is tried.
_FATAL_STATUS = {400, 401, 403, 404}
_FATAL = (
    *("insufficient_quota", "invalid_api_key", "incorrect_api_key", "model_not_found", "account_deactivated"),
    *("billing_hard_limit_reached", "billing_not_active", "invalid_organization", "organization_restricted"),
    *("unsupported_country_region_territory", "access_terminated", "authentication_error", "permission_denied"),
)


def fatal(why: str, status: int = 0) -> bool:
    """Whether trying again is in vain: by an error's code or type, a close reason, or the HTTP status of a refusal."""
    return status in _FATAL_STATUS or any(word in why for word in _FATAL)


class Owed(Enum):
    """What the caller is waiting for when the agent is back."""

    OPENING = auto()  # the agent's first words
    ANSWER = auto()  # the rest of a sentence, or the answer to the caller's
    REPETITION = auto()  # an answer, but no model has heard the question
    HALF = auto()  # the caller was speaking: an answer, if there is more to hear
    NOTHING = auto()  # it is the caller's turn


class Ladder:
    """One visit's losses, and the times that go with them.

    `line_at`: when our own line is due; `speech_by`: when a person is, if the agent that came back has said nothing.
    """

    def __init__(self) -> None:
        self.line_at = NEVER
        self.speech_by = NEVER
        self.renew_at = NEVER
        self.probe_at = NEVER
        self.owed = Owed.OPENING
        self.since = NEVER  # when the present outage began; NEVER while there is none
        self.why = ""
        self.unread = ""  # the caller's last turn, as long as nobody knows its words
        self._lost_at = -NEVER
        self._renew_by = NEVER
        self._probed_at = -NEVER
        self._kept: deque[str] = deque(maxlen=KEPT_FRAMES)

    @property
    def deadline(self) -> float:
        """When something of this is due."""
        return min(self.line_at, self.speech_by, self.renew_at, self.probe_at)

    @property
    def out(self) -> bool:
        """Whether the visit has had an agent, and waits for another."""
        return self.since != NEVER

    @property
    def waits_for_caller(self) -> bool:
        """Whether an agent that comes back has nothing to say."""
        return self.out and self.owed in {Owed.NOTHING, Owed.HALF}

    def may_try(self, why: str, code: int, now: float) -> bool:
        """The agent is lost: whether another session is worth a try."""
        again, self._lost_at = now - self._lost_at < AGAIN_WITHIN, now
        return not again and not fatal(why, code)

    def begin(self, why: str, owed: Owed, silent_from: float, now: float) -> None:
        """An outage begins; the caller has nothing to hear from `silent_from` on."""
        self.since, self.why, self.owed = now, why, owed
        self.renew_at = self.probe_at = NEVER
        self.line_at = max(silent_from + LINE_AFTER, now + LINE_LEAST)
        self.speech_by = NEVER if owed is Owed.NOTHING else max(silent_from, now) + SPEECH_WITHIN

    def keep(self, frame: str) -> None:
        """What the caller says meanwhile; the latest of it is for the next session."""
        self._kept.append(frame)

    def ready(self, now: float) -> None:
        """A session is up: the first or another one."""
        self.since = NEVER
        self.renew_at, self._renew_by = now + RENEW_AFTER, now + RENEW_BY
        if self.owed in {Owed.NOTHING, Owed.HALF}:
            self.settled()

    def take(self) -> list[str]:
        """The frames that were kept, oldest first."""
        kept = [*self._kept]
        self._kept.clear()
        return kept

    def line_spoken(self) -> None:
        """The caller has heard our line, and so expects to hear more."""
        self.line_at = NEVER
        if self.owed is Owed.NOTHING:
            self.owed = Owed.HALF

    def agent_heard(self) -> None:
        """The agent has a voice."""
        self.settled()
        self.unread = ""
        if self.owed is Owed.OPENING:
            self.owed = Owed.NOTHING

    def settled(self) -> None:
        """The agent speaks, or the caller does: nobody waits for a sound."""
        self.line_at = self.speech_by = NEVER

    def renewal_due(self, now: float, *, between_turns: bool) -> bool:
        """Whether the session is to be renewed now; if the moment is not good, it is looked for again soon."""
        if now < self.renew_at:
            return False
        self.renew_at = min(now + LOOK_AGAIN, max(now, self._renew_by))
        return between_turns or now >= self._renew_by

    def suspect(self, now: float) -> bool:
        """The caller has spoken and the model said nothing: whether to ask it for a sign of life."""
        if now < self._probed_at + PROBE_EVERY:
            return False
        self._probed_at, self.probe_at = now, now + PROBE_SECONDS
        return True

    def alive(self) -> None:
        """The model has said something."""
        self.probe_at = NEVER
