"""The first of the two proofs for the media socket: Twilio's signature of the upgrade. Pure.

Twilio signs the stream's URL with scheme `wss`, without parameters, by HMAC-SHA1 with the account's auth token
(https://www.twilio.com/docs/usage/security). Whether it adds a trailing slash or the port has been seen both ways, so
exactly these forms of the *configured* origin count; nothing of the request but its path does. The signature is the
same for everybody who opens the URL: the second proof, the one-time token in the path, makes it open one call, once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

SIGNATURE_HEADER = "X-Twilio-Signature"


def signed_by_twilio(origin: str, path: str, signatures: Sequence[str], auth_tokens: Iterable[str]) -> bool:
    """Whether there is exactly one signature and one of the auth tokens made it for this path at our origin."""
    if len(signatures) != 1 or not signatures[0].isascii():
        return False
    given, matched = signatures[0].encode(), False
    urls = tuple(_candidates(origin, path))
    for auth_token in auth_tokens:
        for url in urls:
            made = base64.b64encode(hmac.digest(auth_token.encode(), url.encode(), hashlib.sha1))
            matched |= hmac.compare_digest(made, given)
    return matched


def _candidates(origin: str, path: str) -> Iterator[str]:
    parts = urlsplit(origin)
    origins = [origin]
    if parts.port is None:
        origins.append(f"{origin}:{443 if parts.scheme == 'wss' else 80}")
    for one in origins:
        yield one + path
        yield f"{one}{path}/"
