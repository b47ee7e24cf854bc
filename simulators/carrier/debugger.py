"""The error log a customer sees in Twilio's console: a code, the call it befell, a sentence.

Codes: https://www.twilio.com/docs/api/errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    at: datetime
    code: int
    severity: Severity
    call_sid: str
    text: str


@dataclass(slots=True)
class Debugger:
    """All that went wrong, oldest first."""

    entries: list[Entry] = field(default_factory=list)

    def record(self, code: int, call_sid: str, text: str, severity: Severity = "error") -> None:
        """Log an error or a warning."""
        self.entries.append(Entry(datetime.now(UTC), code, severity, call_sid, text))

    def of(self, call_sid: str) -> list[Entry]:
        """What befell one call."""
        return [entry for entry in self.entries if entry.call_sid == call_sid]

    def codes(self, call_sid: str | None = None) -> list[int]:
        """The codes logged, oldest first, of one call or of all."""
        return [entry.code for entry in self.entries if call_sid in {None, entry.call_sid}]
