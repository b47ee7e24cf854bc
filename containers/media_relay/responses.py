"""The response in progress: at most one at a time, at most one waiting its turn. Pure.

The API refuses a second response while one is active (`conversation_already_has_active_response`), and voice detection
starts responses of its own, so a `response.create` of ours may have to wait for the end of one that we did not ask for.
https://developers.openai.com/api/docs/guides/realtime-conversations
"""

from __future__ import annotations

from collections import deque

from containers.media_relay.agent import CARRY_ON
from containers.media_relay.realtime import CancelResponse, CreateResponse, ResponseDone


class Responses:
    """Which response is being generated, which one is next, and whose audio must no longer reach the caller."""

    def __init__(self) -> None:
        self.active = ""
        self.audible = False  # has the active response been heard of
        self.failures = 0  # in a row
        self._asked: CreateResponse | None = None
        self._queued: CreateResponse | None = None
        self._repeats = ""  # the event that asks once more for what may have been heard of already
        self._muted: deque[str] = deque(maxlen=16)
        self._told: set[str] = set()  # tool calls that were acted on
        self._serial = 0

    def ask(self, instructions: str = "", *, use_tools: bool = True) -> list[CreateResponse]:
        """Ask for a response: what to send now; nothing if it has to wait, and then it replaces what was waiting."""
        self._serial += 1
        create = CreateResponse(f"rc_{self._serial}", instructions, use_tools)
        if self.active or self._asked:
            self._queued = create
            return []
        self._asked = create
        return [create]

    def created(self, response_id: str) -> None:
        """A response began: ours or one that voice detection started."""
        self.active, self.audible = response_id, False

    def rejected(self, event_id: str) -> None:
        """Our `response.create` came while another was active: it waits, unless it only asked again for that one."""
        if self._asked and event_id in ("", self._asked.event_id):
            waits = None if self._asked.event_id == self._repeats else self._asked
            self._queued, self._asked = self._queued or waits, None

    def done(self, response_id: str, *, failed: bool) -> list[CreateResponse]:
        """A response is over: what to send now. One that failed is asked for again, once, or for its rest."""
        if self.active and response_id != self.active:
            return []
        self.failures = self.failures + 1 if failed else 0
        following, failure, audible = self._queued, self._asked, self.audible
        self.active, self.audible, self._asked, self._queued = "", False, None, None
        if failed and not following and self.failures == 1:
            if audible and self.hears(response_id):
                return self.ask(CARRY_ON)
            return self.ask(failure.instructions, use_tools=failure.use_tools) if failure else self.ask()
        self._asked = following
        return [following] if following else []

    def broken_off(self, done: ResponseDone, *, agents_turn: bool) -> bool:
        """Whether a response ended before the first word or amid a sentence, and nobody here had stopped it.

        The API may end one by its own length or content filter: `status` of
        https://developers.openai.com/api/docs/guides/realtime-conversations.
        """
        if done.calls:
            return False
        if not self.audible:
            return done.status == "incomplete"
        return agents_turn and done.status in {"incomplete", "cancelled"} and self.hears(done.response_id)

    def mute(self) -> None:
        """The caller shall hear no more of the active response."""
        if self.active:
            self._muted.append(self.active)

    def hears(self, response_id: str) -> bool:
        """Whether audio of this response may reach the caller."""
        return response_id not in self._muted

    def first_told(self, call_id: str) -> bool:
        """Whether this is the first that is heard of a tool call; three events tell of each."""
        if call_id in self._told:
            return False
        self._told.add(call_id)
        return True

    def restart(self) -> list[CreateResponse | CancelResponse]:
        """Nothing is heard though it is the agent's turn: give up what hangs and ask again."""
        hanging, again, self._asked, self._queued = self._queued or self._asked, self._asked, None, None
        ask = self.ask(hanging.instructions, use_tools=hanging.use_tools) if hanging else self.ask()
        if ask:
            self._repeats = ask[0].event_id if again else ""
            return [*ask]
        self.mute()
        return [CancelResponse(self.active)]

    def lost(self) -> None:
        """The session they belonged to is gone, and with it all of them."""
        self.active, self._asked, self._queued, self._repeats = "", None, None, ""

    def forget(self) -> None:
        """What waits for its turn is no longer wanted."""
        self._queued = None
