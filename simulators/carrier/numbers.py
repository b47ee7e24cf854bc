"""The account's telephone numbers: what each does with a call, and what REST may make it do.

The IncomingPhoneNumber resource, https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource.
An update is checked whole before any of it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from simulators.carrier.api import METHODS, ApiError
from simulators.carrier.call import Number
from simulators.carrier.exchange import new_sid
from simulators.carrier.hosting import DEMO_URL
from simulators.carrier.resource import API_VERSION, rfc2822

CAPABILITIES: Final = ("voice", "sms", "mms", "fax")

_URLS: Final = {"VoiceUrl": "voice_url", "VoiceFallbackUrl": "fallback_url", "StatusCallback": "status_callback"}
_METHODS: Final = {
    "VoiceMethod": "voice_method",
    "VoiceFallbackMethod": "fallback_method",
    "StatusCallbackMethod": "status_callback_method",
}
# Of no effect on calls: kept and shown.
_SMS_URLS: Final = {"SmsUrl": "sms_url", "SmsFallbackUrl": "sms_fallback_url"}
_SMS_METHODS: Final = {"SmsMethod": "sms_method", "SmsFallbackMethod": "sms_fallback_method"}
# A host has no underscore (https://www.twilio.com/docs/api/errors/21609).
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]")


@dataclass(slots=True, kw_only=True)
class IncomingPhoneNumber:
    """One number: its URLs are used unless an application or a trunk takes its calls."""

    account_sid: str
    phone_number: str
    number: Number
    friendly_name: str
    capabilities: frozenset[str] = frozenset(CAPABILITIES)
    voice_application_sid: str = ""
    trunk_sid: str = ""
    sms: dict[str, str] = field(default_factory=dict)
    sid: str = field(default_factory=lambda: new_sid("PN"))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> dict[str, Any]:
        """The resource's representation."""
        number = self.number
        shown = {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "phone_number": self.phone_number,
            "friendly_name": self.friendly_name,
            "capabilities": {name: name in self.capabilities for name in CAPABILITIES},
            "voice_url": number.voice_url,
            "voice_method": number.voice_method,
            "voice_fallback_url": number.fallback_url or "",
            "voice_fallback_method": number.fallback_method,
            "voice_application_sid": self.voice_application_sid,
            "voice_caller_id_lookup": False,
            "voice_receive_mode": "voice",
            "status_callback": number.status_callback or "",
            "status_callback_method": number.status_callback_method,
            "trunk_sid": self.trunk_sid or None,
            "api_version": API_VERSION,
            "origin": "twilio",
            "status": "in-use",
            "type": "local",
            "beta": False,
            "address_requirements": "none",
            "emergency_status": "Inactive",
            "emergency_address_status": "unregistered",
            "sms_application_sid": "",
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.updated_at),
            "uri": f"/{API_VERSION}/Accounts/{self.account_sid}/IncomingPhoneNumbers/{self.sid}.json",
        }
        shown |= dict.fromkeys(("address_sid", "bundle_sid", "emergency_address_sid", "identity_sid"))
        for name, attribute in (_SMS_URLS | _SMS_METHODS).items():
            shown[attribute] = self.sms.get(name, "POST" if name in _SMS_METHODS else "")
        return shown


class Numbers(MutableMapping[str, Number]):
    """The numbers an account owns, oldest first, by E.164.

    `numbers["+1…"] = Number(…)` owns a number, or gives one that is owned other URLs; reading it gives the URLs the
    next call uses, none if an application or trunk takes its calls, which this stand-in does not carry out.

    Attributes:
        applications: The TwiML applications (AP…) of the account.
        trunks: The trunks (TK…) of the account.
    """

    def __init__(self, account_sid: str) -> None:
        self.applications: set[str] = set()
        self.trunks: set[str] = set()
        self._account_sid = account_sid
        self._owned: dict[str, IncomingPhoneNumber] = {}

    def __getitem__(self, phone_number: str) -> Number:
        owned = self._owned[phone_number]
        if owned.voice_application_sid or owned.trunk_sid:
            return replace(owned.number, voice_url="", fallback_url=None)
        return owned.number

    def __setitem__(self, phone_number: str, number: Number) -> None:
        if phone_number in self._owned:
            self._owned[phone_number].number = number
        else:
            self._own(phone_number, number)

    def __delitem__(self, phone_number: str) -> None:
        del self._owned[phone_number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owned)

    def __len__(self) -> int:
        return len(self._owned)

    def add(
        self,
        phone_number: str,
        number: Number | None = None,
        *,
        friendly_name: str = "",
        capabilities: frozenset[str] = frozenset(CAPABILITIES),
        voice_application_sid: str = "",
        trunk_sid: str = "",
    ) -> IncomingPhoneNumber:
        """Own another number; as bought, it asks Twilio's demo. An application or trunk named here exists from now on.

        Raises:
            ValueError: it is owned already.
        """
        if phone_number in self._owned:
            raise ValueError(f"{phone_number} is owned already")
        owned = self._own(phone_number, number or Number(DEMO_URL))
        owned.friendly_name = friendly_name or phone_number
        owned.capabilities = capabilities
        owned.voice_application_sid, owned.trunk_sid = voice_application_sid, trunk_sid
        self.applications |= {voice_application_sid} - {""}
        self.trunks |= {trunk_sid} - {""}
        return owned

    def _own(self, phone_number: str, number: Number) -> IncomingPhoneNumber:
        owned = IncomingPhoneNumber(
            account_sid=self._account_sid, phone_number=phone_number, number=number, friendly_name=phone_number
        )
        self._owned[phone_number] = owned
        return owned

    def resource(self, phone_number: str) -> IncomingPhoneNumber:
        """An owned number as REST knows it.

        Raises:
            KeyError: no such number.
        """
        return self._owned[phone_number]

    def with_sid(self, sid: str) -> IncomingPhoneNumber | None:
        """The owned number with that SID."""
        return next((owned for owned in self._owned.values() if owned.sid == sid), None)

    def matching(self, *, phone_number: str | None, friendly_name: str | None) -> list[IncomingPhoneNumber]:
        """Newest first: those whose number contains this, `*` being any digit, and whose name is that."""
        pattern = re.escape(phone_number or "").replace(r"\*", r"\d")
        return [
            owned
            for owned in reversed(self._owned.values())
            if re.search(pattern, owned.phone_number) and friendly_name in {None, owned.friendly_name}
        ]

    def configure(self, owned: IncomingPhoneNumber, form: Mapping[str, str]) -> None:
        """Take over what a request gives; fields that are not given stay, an empty one is cleared.

        Raises:
            ApiError: 21402 a URL, 21403 a method, 21405 a fallback without a primary URL, 21420 an application,
                20001 another value that Twilio does not take. Nothing has changed then.
        """
        number = _configured(owned.number, form)
        if form.get("VoiceFallbackUrl") and not number.voice_url:
            raise ApiError(400, 21405, "Cannot set VoiceFallbackUrl without setting Url")
        for name in _SMS_URLS:
            _check_url(name, form.get(name, ""))
        for name in _SMS_METHODS:
            _check_method(name, form.get(name, "POST"))
        application, trunk = self._taken_by(owned, form)
        name = form.get("FriendlyName", owned.friendly_name)
        if len(name) > 64:
            raise ApiError(400, 20001, "FriendlyName must be at most 64 characters long")
        owned.number, owned.friendly_name = number, name or owned.phone_number
        owned.voice_application_sid, owned.trunk_sid = application, trunk
        owned.sms |= {field: form[field] for field in (*_SMS_URLS, *_SMS_METHODS) if field in form}
        owned.updated_at = datetime.now(UTC)

    def _taken_by(self, owned: IncomingPhoneNumber, form: Mapping[str, str]) -> tuple[str, str]:
        """Application and trunk: setting one deletes the other."""
        application, trunk = form.get("VoiceApplicationSid"), form.get("TrunkSid")
        if application and trunk:
            raise ApiError(400, 20001, "VoiceApplicationSid and TrunkSid are mutually exclusive")
        if application and application not in self.applications:
            raise ApiError(400, 21420, f"ApplicationSid is not accessible: {application}")
        if trunk and trunk not in self.trunks:
            raise ApiError(400, 20001, f"TrunkSid is not accessible: {trunk}")
        if application:
            return application, ""
        if trunk:
            return "", trunk
        return (
            owned.voice_application_sid if application is None else "",
            owned.trunk_sid if trunk is None else "",
        )


def _configured(number: Number, form: Mapping[str, str]) -> Number:
    changes: dict[str, Any] = {}
    for name, attribute in _URLS.items():
        if name in form:
            _check_url(name, form[name])
            changes[attribute] = form[name] or (None if attribute != "voice_url" else "")
    for name, attribute in _METHODS.items():
        if name in form:
            _check_method(name, form[name])
            changes[attribute] = form[name]
    return replace(number, **changes)


def _check_url(name: str, url: str) -> None:
    """https://www.twilio.com/docs/api/errors/21402: fully qualified; unlike Twilio, hosts of this machine will do."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    good = host and parts.scheme in {"http", "https"} and _HOST.fullmatch(f"[{host}]" if ":" in host else host)
    if url and (not good or re.search(r"\s", url)):
        raise ApiError(400, 21402, f"{name} is not valid: {url}")


def _check_method(name: str, method: str) -> None:
    if method not in METHODS:
        raise ApiError(400, 21403, f"{name} is not valid: {method}")
