"""What breaks the local stack while it runs.

Proxies before the model and the relay, the model's mood, the cloud's troubles, the carrier's bad luck, and signals.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from simulators.carrier import Carrier, Fault
from simulators.cloud.troubles import Troubles
from simulators.faults.flow import Impairment
from simulators.faults.proxy import FaultProxy
from simulators.model.moods import Answering, Mood

SLOW_SECONDS: Final = 1.5
TARDY_SECONDS: Final = 2.5  # longer than any client of ours waits for an answer
_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}
_ANSWERING: Final[dict[str, Answering]] = {"mute": "mute", "zeros": "zeros", "fails": "fails", "stall": "stall"}
_UPDATES: Final = {
    "refuses": Fault.refuse(),
    "fails": Fault.error(500),
    "slow": Fault.delay(SLOW_SECONDS),
}


class Process(Protocol):
    """A relay that signals can be sent to."""

    def send(self, number: int) -> None: ...


def _nothing() -> None:
    """What was done once needs no mending."""


@dataclass(frozen=True, slots=True)
class StackLevers:
    """Pulls at a running stack. `relay` is asked for at each pull: it may have been started anew.

    `model` and `media` are the proxies before them; where there are none, nothing is wrong with the network.
    """

    relay: Callable[[], Process]
    carrier: Carrier
    model: FaultProxy | None
    media: FaultProxy | None
    mood: Mood
    troubles: Troubles

    def pull(self, who: str, what: str) -> Callable[[], None]:
        """Bring a fault about; what is returned mends it."""
        match who:
            case "model":
                return self._model(what)
            case "network":
                return self._proxy(self.media, what)
            case "relay":
                return self._relay(what)
            case "carrier":
                return self._carrier(what)
            case _:
                return self._cloud(who, what)

    def _model(self, what: str) -> Callable[[], None]:
        mood = self.mood
        if what in {"dies", "refuses"}:
            mood.refuse_status = 503
            if what == "dies":
                self._proxy(self.model, what)

            def lets_in() -> None:
                mood.refuse_status = None

            return lets_in
        if what == "deaf":
            mood.deaf = True

            def hears() -> None:
                mood.deaf = False

            return hears
        if what in _ANSWERING:
            mood.answering = _ANSWERING[what]
            mend = self._proxy(self.model, what) if what == "stall" else _nothing

            def answers() -> None:
                mood.answering = "well"
                mend()

            return answers
        return self._proxy(self.model, what)

    @staticmethod
    def _proxy(proxy: FaultProxy | None, what: str) -> Callable[[], None]:
        assert proxy, "the stack was made with proxies"
        match what:
            case "dies":
                proxy.reset()
                return _nothing
            case "closes":
                proxy.finish()
                return _nothing
            case "black_hole":
                proxy.black_hole()
            case "stall":
                proxy.stall()
            case _:
                late = Impairment(latency=SLOW_SECONDS)
                proxy.impair(upstream=late, downstream=late)
        return proxy.heal

    def _relay(self, what: str) -> Callable[[], None]:
        relay = self.relay()
        relay.send(_SIGNALS[what])
        return (lambda: relay.send(signal.SIGCONT)) if what == "stop" else _nothing

    def _carrier(self, what: str) -> Callable[[], None]:
        self.carrier.faults = lambda request: _UPDATES[what] if request.method == "POST" else None

        def serves() -> None:
            self.carrier.faults = []

        return serves

    def _cloud(self, service: str, what: str) -> Callable[[], None]:
        troubles = self.troubles
        if what == "slow":
            troubles.late[service] = SLOW_SECONDS
        elif what == "tardy":
            troubles.tardy[service] = TARDY_SECONDS
        else:
            troubles.down.add(service)

        def works() -> None:
            troubles.late.pop(service, None)
            troubles.tardy.pop(service, None)
            troubles.down.discard(service)

        return works
