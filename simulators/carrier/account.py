"""The account calls belong to: its standing, and the countries it may dial."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from simulators.carrier.resource import API_VERSION, rfc2822

# ISO code: name, continent, country codes (https://www.twilio.com/docs/voice/api/dialingpermissions-country-resource).
COUNTRIES: Final = {
    "AU": ("Australia", "OCEANIA", ["61"]),
    "CA": ("Canada", "NORTH_AMERICA", ["1"]),
    "DE": ("Germany", "EUROPE", ["49"]),
    "ES": ("Spain", "EUROPE", ["34"]),
    "FR": ("France", "EUROPE", ["33"]),
    "GB": ("United Kingdom", "EUROPE", ["44"]),
    "IE": ("Ireland", "EUROPE", ["353"]),
    "IN": ("India", "ASIA", ["91"]),
    "JP": ("Japan", "ASIA", ["81"]),
    "MX": ("Mexico", "NORTH_AMERICA", ["52"]),
    "US": ("United States of America", "NORTH_AMERICA", ["1"]),
}


@dataclass(slots=True, kw_only=True)
class Account:
    """An account; suspended or closed, it can be fetched and do nothing else.

    Attributes:
        dialing: ISO codes of the countries whose low-risk numbers may be dialled.
    """

    sid: str
    auth_token: str
    friendly_name: str = "Stand-in"
    status: Literal["active", "suspended", "closed"] = "active"
    type: Literal["Full", "Trial"] = "Full"
    dialing: set[str] = field(default_factory=lambda: {"US", "CA"})
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> dict[str, Any]:
        """The resource's representation (https://www.twilio.com/docs/iam/api/account): Twilio does show the token."""
        base = f"/{API_VERSION}/Accounts/{self.sid}"
        below = {"calls": "Calls", "incoming_phone_numbers": "IncomingPhoneNumbers", "keys": "Keys"}
        return {
            "sid": self.sid,
            "owner_account_sid": self.sid,
            "auth_token": self.auth_token,
            "friendly_name": self.friendly_name,
            "status": self.status,
            "type": self.type,
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.created_at),
            "uri": f"{base}.json",
            "subresource_uris": {name: f"{base}/{path}.json" for name, path in below.items()},
        }

    def country(self, iso_code: str) -> dict[str, Any]:
        """What may be dialled in a country.

        Raises:
            KeyError: no such country.
        """
        name, continent, codes = COUNTRIES[iso_code]
        url = f"https://voice.twilio.com/v1/DialingPermissions/Countries/{iso_code}"
        return {
            "iso_code": iso_code,
            "name": name,
            "continent": continent,
            "country_codes": codes,
            "low_risk_numbers_enabled": iso_code in self.dialing,
            "high_risk_special_numbers_enabled": False,
            "high_risk_tollfraud_numbers_enabled": False,
            "url": url,
            "links": {"highrisk_special_prefixes": f"{url}/HighRiskSpecialPrefixes"},
        }
