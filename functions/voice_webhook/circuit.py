"""Whether a call that comes in goes to the agent at all: the fleet's circuit breaker, asked while the row is opened.

What cannot be read in time counts as closed: a caller whose agent fails reaches a person as well, a little later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from contracts import events
from contracts.breaker import Breakers, Reading, Verdict
from contracts.metrics import Metric
from functions.eventlog import EventLog

PATIENCE = 0.3  # seconds beyond the opening of the row


@dataclass(frozen=True, slots=True)
class Circuit:
    """Asks the breaker."""

    breakers: Breakers
    log: EventLog

    def ask(self, call_sid: str) -> Callable[[], Verdict]:
        """Start to read; what is returned waits for that and decides, once, and only for a call that is new."""
        read: list[Reading | Exception] = []

        def reading() -> None:
            try:
                read.append(self.breakers.read())
            except Exception as error:  # noqa: BLE001 - the edge of this thread; it is told where it is waited for
                read.append(error)

        thread = threading.Thread(target=reading, name="breaker", daemon=True)
        thread.start()

        def verdict() -> Verdict:
            thread.join(PATIENCE)
            return self._verdict(call_sid, read[0] if read else TimeoutError())

        return verdict

    def _verdict(self, call_sid: str, read: Reading | Exception) -> Verdict:
        if isinstance(read, Exception):
            return self._unknown(call_sid, read)
        try:
            verdict = self.breakers.admit(read)
        except Exception as error:  # noqa: BLE001 - no failure of the breaker may keep a caller from the agent
            return self._unknown(call_sid, error)
        if verdict is not Verdict.ADMITTED:
            self.log.write(events.BREAKER_MET, call_sid, verdict=verdict.value)
        if verdict is Verdict.DIVERTED:
            self.log.count(Metric.CALLS_DIVERTED)
        return verdict

    def _unknown(self, call_sid: str, error: Exception) -> Verdict:
        self.log.write(events.LEDGER_FAILED, call_sid, operation="breaker", error=type(error).__name__)
        self.log.count(Metric.LEDGER_FAILURES)
        return Verdict.ADMITTED
