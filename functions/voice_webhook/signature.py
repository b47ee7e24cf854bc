"""Whether Twilio asked: X-Twilio-Signature over the configured origin, never over a header the caller controls.

https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from twilio.request_validator import RequestValidator

SIGNATURE_HEADER = "x-twilio-signature"
# Base64 of an HMAC-SHA1. A header given twice arrives joined by a comma and so has not this form.
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{27}=")


def is_twilios(signature: str, *, url: str, form: Mapping[str, str], tokens: Iterable[str]) -> bool:
    """Whether one of the auth tokens signed this URL and form."""
    if not _SIGNATURE.fullmatch(signature):
        return False
    return any(RequestValidator(token).validate(url, form, signature) for token in tokens)
