"""The error log a customer sees in Twilio's console and its Monitor API: a code, the call it befell, a sentence.

Codes: https://www.twilio.com/docs/api/errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from simulators.carrier.api import iso8601
from simulators.carrier.exchange import new_sid
from simulators.carrier.resource import API_VERSION

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log; `url` and `method` are of the request that went wrong, if it was one."""

    at: datetime
    code: int
    severity: Severity
    call_sid: str
    text: str
    url: str = ""
    method: str = "POST"
    sid: str = field(default_factory=lambda: new_sid("NO"))

    def as_alert(self, account_sid: str) -> dict[str, Any]:
        """The Alert resource (https://www.twilio.com/docs/usage/monitor-alert); its text is a query string.

        The text's fields are those of alerts that libraries keep for their tests
        (https://github.com/kevinburke/twilio-go, https://github.com/twilio/twilio-ruby).
        """
        address = {"url": self.url} if self.url else {}
        text = address | {"ErrorCode": self.code, "LogLevel": self.severity.upper(), "Msg": self.text}
        return {
            "sid": self.sid,
            "account_sid": account_sid,
            "resource_sid": self.call_sid,
            "service_sid": None,
            "error_code": str(self.code),
            "log_level": self.severity,
            "alert_text": urlencode({"sourceComponent": "12000", **text, "EmailNotification": "false"}),
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "request_url": self.url or None,
            "request_method": self.method if self.url else None,
            "api_version": API_VERSION,
            "date_created": iso8601(self.at),
            "date_generated": iso8601(self.at),
            "date_updated": iso8601(self.at),
            "url": f"https://monitor.twilio.com/v1/Alerts/{self.sid}",
        }


@dataclass(slots=True)
class Debugger:
    """All that went wrong, oldest first."""

    entries: list[Entry] = field(default_factory=list)

    def record(
        self,
        code: int,
        call_sid: str,
        text: str,
        severity: Severity = "error",
        *,
        url: str = "",
        method: str = "POST",
    ) -> None:
        """Log an error or a warning."""
        self.entries.append(Entry(datetime.now(UTC), code, severity, call_sid, text, url, method))

    def of(self, call_sid: str) -> list[Entry]:
        """What befell one call."""
        return [entry for entry in self.entries if entry.call_sid == call_sid]

    def codes(self, call_sid: str | None = None) -> list[int]:
        """The codes logged, oldest first, of one call or of all."""
        return [entry.code for entry in self.entries if call_sid in {None, entry.call_sid}]
