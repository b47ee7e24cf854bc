"""The Call resource as Twilio's REST API shows it (https://www.twilio.com/docs/voice/api/call-resource)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
API_VERSION: Final = "2010-04-01"


def rfc2822(moment: datetime | None) -> str | None:
    """A time the way the API writes it."""
    return format_datetime(moment) if moment else None


@dataclass(slots=True, kw_only=True)
class Resource:
    """One call: who, whom, how far it has come; `visible_from` is when a list first shows it (the exchange's clock)."""

    sid: str
    account_sid: str
    from_: str
    to: str
    direction: str
    created_at: datetime
    visible_from: float = 0.0
    parent_call_sid: str | None = None
    status: str = "queued"
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    answered_by: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the status is a final one."""
        return self.status in ENDED

    @property
    def seconds(self) -> int:
        """How long it has been, or was, answered."""
        if self.answered_at is None:
            return 0
        return round(((self.ended_at or datetime.now(UTC)) - self.answered_at).total_seconds())

    @property
    def uri(self) -> str:
        """Its address under the API's base URL."""
        return f"/{API_VERSION}/Accounts/{self.account_sid}/Calls/{self.sid}.json"

    def parameters(self) -> dict[str, str]:
        """What every webhook request about the call carries (https://www.twilio.com/docs/voice/twiml#request-parameters)."""
        parameters = {
            "AccountSid": self.account_sid,
            "ApiVersion": API_VERSION,
            "CallSid": self.sid,
            "CallStatus": self.status,
            "Called": self.to,
            "Caller": self.from_,
            "Direction": self.direction,
            "From": self.from_,
            "FromCity": "",
            "FromCountry": "US",
            "FromState": "",
            "FromZip": "",
            "To": self.to,
            "ToCity": "",
            "ToCountry": "US",
            "ToState": "",
            "ToZip": "",
        }
        if self.parent_call_sid:
            parameters["ParentCallSid"] = self.parent_call_sid
        return parameters

    def as_json(self) -> dict[str, Any]:
        """The resource's representation."""
        base = self.uri.removesuffix(".json")
        return {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "parent_call_sid": self.parent_call_sid,
            "phone_number_sid": None,
            "to": self.to,
            "to_formatted": self.to,
            "from": self.from_,
            "from_formatted": self.from_,
            "status": self.status,
            "direction": self.direction,
            "answered_by": self.answered_by,
            "api_version": API_VERSION,
            "annotation": None,
            "caller_name": None,
            "forwarded_from": None,
            "group_sid": None,
            "trunk_sid": None,
            "queue_time": "0",
            "price": None,
            "price_unit": "USD",
            "duration": str(self.seconds) if self.ended else None,
            "start_time": rfc2822(self.answered_at),
            "end_time": rfc2822(self.ended_at),
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.ended_at or self.answered_at or self.created_at),
            "uri": self.uri,
            "subresource_uris": {name.lower(): f"{base}/{name}.json" for name in ("Events", "Recordings", "Streams")},
        }
