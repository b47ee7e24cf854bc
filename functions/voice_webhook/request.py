"""A request of Twilio, proven and in form: what the rest of the function may rely on.

The signature joins names and values without separators, so the same signature fits other ways of cutting them. That is
why every field that is used must have its strict form, and why a number that is not E.164 is used for nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from contracts.directory import E164
from contracts.ledger import TERMINAL_STATUS
from contracts.transfer import DESTINATION
from functions.voice_webhook.signature import SIGNATURE_HEADER, is_twilios

MAX_BODY_BYTES = 64 * 1024
CALL_STATUS = TERMINAL_STATUS | {"queued", "initiated", "ringing", "in-progress"}
DIAL_STATUS = frozenset({"completed", "answered", "busy", "no-answer", "failed", "canceled"})
STREAM_EVENTS = frozenset({"stream-started", "stream-stopped", "stream-error"})
# Keypad words that carriers send for a hidden number (ANONYMOUS, RESTRICTED, UNKNOWN, BLOCKED, UNAVAILABLE):
# https://help.twilio.com/articles/223179988
HIDDEN_NUMBERS = frozenset({"+266696687", "+7378742833", "+8656696", "+2562533", "+86282452253"})

_NUMBER = r"\+?[0-9]{2,15}"
_WORDS = r"(?i:anonymous|restricted|unavailable|unknown|private|blocked|withheld)(?i: (?:user|caller|number|id))?"
_ADDRESS = r"(?:client|sip|sips|whatsapp|sim):[!-~]{1,255}"
_FORMS = {
    "CallSid": r"CA[0-9a-f]{32}",
    "AccountSid": r"AC[0-9a-f]{32}",
    "ParentCallSid": r"CA[0-9a-f]{32}",
    "DialCallSid": r"CA[0-9a-f]{32}",
    "StreamSid": r"MZ[0-9a-f]{32}",
    "From": f"|{_NUMBER}|{_WORDS}|{_ADDRESS}",
    "To": f"{_NUMBER}|{_ADDRESS}",
    "CallStatus": "|".join(sorted(CALL_STATUS)),
    "DialCallStatus": "|".join(sorted(DIAL_STATUS)),
    "StreamEvent": "|".join(sorted(STREAM_EVENTS)),
    "SequenceNumber": r"[0-9]{1,6}",
    "CallDuration": r"[0-9]{1,7}",
    "DialCallDuration": r"[0-9]{1,7}",
    "DialBridged": r"true|false",
    "Digits": r"[0-9*#]{1,20}|hangup",
    "QueueResult": r"[a-z-]{1,40}",
    "QueueTime": r"[0-9]{1,7}",
    "RecordingSid": r"RE[0-9a-f]{32}",
    "RecordingUrl": r"https://api(?:\.[a-z0-9-]+){0,2}\.twilio\.com/2010-04-01/Accounts/AC[0-9a-f]{32}/Recordings/RE[0-9a-f]{32}",
    "RecordingStatus": r"in-progress|completed|absent|failed",
    "RecordingDuration": r"-1|[0-9]{1,6}",
}
_FIELD = {name: re.compile(form) for name, form in _FORMS.items()}
_ASKED = {
    "visit": r"[0-9]{1,6}",
    "request": r"[0-9a-f]{32}",
    "hop": r"[0-9]{1,3}",
    "screened": r"1",
    "call": r"CA[0-9a-f]{32}",
    "to": DESTINATION.pattern,
    "of": r"[0-9]{1,2}",
    "seconds": r"[0-9]{1,4}",
    "again": r"1",
}
_QUERY = {name: re.compile(form) for name, form in _ASKED.items()}


class RequestRefused(Exception):  # noqa: N818 - it names what happened to the request
    """The request is answered with `status` (403: not Twilio's; 400: not in form) and nothing is done."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class Request:
    """A proven request. `fields` holds those with a strict form only; absent ones read as ""."""

    route: str
    fields: Mapping[str, str]
    query: Mapping[str, str]

    @property
    def call_sid(self) -> str:
        """`CA` and 32 hex digits."""
        return self.fields["CallSid"]

    def field(self, name: str) -> str:
        """A field's value, or ""."""
        return self.fields.get(name, "")

    def number(self, name: str, default: int = 0) -> int:
        """A numeric field's value."""
        return int(self.fields.get(name) or default)

    @property
    def visit(self) -> int:
        """The visit to the agent this question is about; 0: not said."""
        return int(self.query.get("visit", 0))

    @property
    def request_id(self) -> str:
        """The transfer request this question is about, or ""."""
        return self.query.get("request", "")

    @property
    def hop(self) -> int:
        """The ring of that transfer this question is about."""
        return int(self.query.get("hop", 0))

    @property
    def caller_sid(self) -> str:
        """The caller's call, when Twilio asks about a person's; "" if it does not say."""
        return self.query.get("call") or self.field("ParentCallSid")

    @property
    def call_is_over(self) -> bool:
        """Twilio asks as a formality: nobody is on the line."""
        return self.field("CallStatus") in TERMINAL_STATUS


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets Twilio's requests in. `tokens` gives the auth tokens in force; `origin` is what Twilio asks and signs."""

    origin: str
    account_sid: str
    tokens: Callable[[], Iterable[str]]
    verify: Callable[..., bool] = is_twilios

    def admit(self, event: Mapping[str, Any], *required: str) -> Request:
        """The request in an API Gateway HTTP API (v2) event; `required` fields must be there and not empty.

        Raises:
            RequestRefused: too large, not signed, another account's, or not in form.
        """
        form = _pairs(_body(event))
        path, query = str(event.get("rawPath") or ""), str(event.get("rawQueryString") or "")
        url = f"{self.origin}{path}?{query}" if query else f"{self.origin}{path}"
        if not self.verify(_signature(event), url=url, form=form, tokens=self.tokens()):
            raise RequestRefused(403, "the signature is missing or not Twilio's for this URL and form")
        asked = _pairs(query)
        for given, forms in ((form, _FIELD), (asked, _QUERY)):
            for name, pattern in forms.items():
                if name in given and not (pattern.fullmatch(given[name]) or (given is form and not given[name])):
                    raise RequestRefused(400, f"{name} has not its form")
        for name in ("CallSid", "AccountSid", *required):
            if not form.get(name):
                raise RequestRefused(400, f"{name} is missing")
        if form["AccountSid"] != self.account_sid:
            raise RequestRefused(403, "AccountSid is another account's")
        fields = {name: value for name, value in form.items() if name in _FIELD}
        return Request(path, fields, {name: value for name, value in asked.items() if name in _QUERY})


def dialable(number: str) -> bool:
    """Whether a number can stand as a caller ID."""
    return bool(E164.fullmatch(number)) and number not in HIDDEN_NUMBERS


def _signature(event: Mapping[str, Any]) -> str:
    headers = event.get("headers") or {}
    given = [str(value) for name, value in headers.items() if str(name).lower() == SIGNATURE_HEADER]
    return given[0] if len(given) == 1 else ""


def _body(event: Mapping[str, Any]) -> str:
    body = event.get("body") or ""
    # Measured before it is decoded or verified: hashing is work that a stranger must not be able to order.
    if not isinstance(body, str) or len(body) > MAX_BODY_BYTES * 4 / 3 + 4:
        raise RequestRefused(400, "the body is too large")
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        text = raw.decode()
    except (binascii.Error, UnicodeError) as error:
        raise RequestRefused(400, "the body is not UTF-8 text") from error
    if len(raw) > MAX_BODY_BYTES:
        raise RequestRefused(400, "the body is too large")
    return text


def _pairs(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=500)
    except ValueError as error:  # UnicodeDecodeError is one
        raise RequestRefused(400, "the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RequestRefused(400, "a field is given twice")
    return fields
