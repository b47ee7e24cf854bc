"""The one-time token in the path of the media socket: how it is made, read and compared.

The webhook mints it, Twilio carries it in the stream's URL, the relay presents its digest to the ledger. It is an HMAC
over call, visit and a random nonce, so a replayed webhook derives the same token again while the ledger row keeps only
a digest that opens nothing. A path segment, because `<Stream url>` takes no query string
(https://www.twilio.com/docs/voice/twiml/stream).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

TOKEN_SECONDS = 60
MEDIA_PATH = "/media/"
_TOKEN = re.compile(r"([0-9a-f]{32})-[A-Za-z0-9_-]{43}")
_PURPOSE = b"patchthrough media token v1"


class MalformedPath(ValueError):  # noqa: N818 - it names what the path is
    """The path is not `/media/<token>`."""


def nonce() -> str:
    """A fresh 128-bit nonce, 32 hex characters."""
    return secrets.token_hex(16)


def mint(call_sid: str, visit: int, nonce: str, key: str) -> str:
    """The token of one visit of one call: `<32 hex of the CallSid>-<43 characters base64url>`, 256 bits.

    Args:
        call_sid: `CA` and 32 hex digits.
        visit: 1 for the first stream of the call, then counting up.
        nonce: what `nonce()` gave when the visit was offered.
        key: the account's auth token; a key for this purpose alone is derived from it.
    """
    derived = hmac.digest(key.encode(), _PURPOSE, hashlib.sha256)
    proof = hmac.digest(derived, f"{nonce}|{call_sid}|{visit}".encode(), hashlib.sha256)
    return f"{call_sid.removeprefix('CA')}-{base64.urlsafe_b64encode(proof).decode().rstrip('=')}"


def parse(path: str) -> tuple[str, str]:
    """`(call_sid, token)` of a request path.

    Raises:
        MalformedPath: anything but `/media/<token>`, query string included.
    """
    token = path.removeprefix(MEDIA_PATH)
    match = _TOKEN.fullmatch(token)
    if match is None or token == path:
        raise MalformedPath("the path is not /media/<token>")
    return f"CA{match[1]}", token


def digest(token: str) -> str:
    """What the ledger row stores of a token: SHA-256, 64 hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()
