"""What all calls of one carrier share: its account, habits, numbers, parties, and the tasks it has running."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulators.carrier.fronts import Fronts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from simulators.carrier.call import Call
    from simulators.carrier.callees import Callee
    from simulators.carrier.debugger import Debugger
    from simulators.carrier.numbers import Numbers
    from simulators.carrier.rooms import Conference, Queue
    from simulators.carrier.variants import Variants
    from simulators.carrier.webhooks import Webhooks

Speak = "Callable[[str, str], bytes]"


def new_sid(prefix: str) -> str:
    """A new identifier: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)


def speak_with_voices(text: str, voice: str) -> bytes:
    """Synthesise speech; `voice` is the name of one of `simulators.voices.Voice`."""
    from simulators import voices  # noqa: PLC0415  # loading a synthesiser is for those who hear it

    return voices.speak(text, voices.Voice[voice])


@dataclass(slots=True, kw_only=True)
class Exchange:
    """The telephone exchange.

    Attributes:
        speak: `(text, voice) -> mu-law`, called in a thread; voices are PERSON and OPERATOR.
        allow_ws: Streams may go to `ws://` URLs of any host, not of this machine alone.
        on_event: Told of every event of every call.
        fronts: Public host names whose requests are taken elsewhere.
        clock: Seconds, monotonic; decides how long a new leg stays unseen by REST.
    """

    account_sid: str
    auth_token: str
    variants: Variants
    debugger: Debugger
    webhooks: Webhooks
    numbers: Numbers
    callees: dict[str, Callee]
    speak: Callable[[str, str], bytes] = speak_with_voices
    allow_ws: bool = False
    on_event: Callable[[dict[str, Any]], None] = lambda _event: None
    fronts: Fronts = field(default_factory=Fronts)
    clock: Callable[[], float] = time.monotonic
    calls: dict[str, Call] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    conferences: dict[str, Conference] = field(default_factory=dict)
    recordings: dict[str, bytes] = field(default_factory=dict)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside everything else, until it is done or the carrier stops."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def callee(self, to: str, called: str) -> Callee | None:
        """Who picks up at `to` for a caller of the number `called`: the one of "TO via CALLED", else of "TO"."""
        return self.callees.get(f"{to} via {called}") or self.callees.get(to)

    async def speech(self, text: str, voice: str) -> bytes:
        """Mu-law of a spoken text."""
        return await asyncio.to_thread(self.speak, text, voice)
