"""The link to the page that tells a person who is calling, and why: how it is made, checked and sent.

Whoever holds a link sees one call for some minutes, and nothing else. It is an HMAC over the call and the link's end,
under a key that is derived from the account's auth token for this purpose alone; nothing of it is stored. It stands in
the query, which no access log of ours keeps.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.transfer import CALL_SID, VERSION

PAGE = "/voice/summary"
KIND = "screen_pop"
_PURPOSE = b"patchthrough screen pop v1"
_TOKEN = re.compile(r"([0-9a-f]{32})\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})", re.ASCII)
_URL = re.compile(r"https?://\S{1,500}")


class LinkRefused(ValueError):  # noqa: N818 - it names what became of the link
    """The link opens nothing; `expired`: it did once."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "not one of ours")
        self.expired = expired


def mint(call_sid: str, expires: int, key: str) -> str:
    """The token of a link to one call (`CA` and 32 hex digits) until `expires` (seconds since the epoch).

    Args:
        call_sid: `CA` and 32 hex digits.
        expires: when it opens nothing any more.
        key: the account's auth token.
    """
    call = call_sid.removeprefix("CA")
    derived = hmac.digest(key.encode(), _PURPOSE, hashlib.sha256)
    proof = hmac.digest(derived, f"{call}.{expires}".encode(), hashlib.sha256)
    return f"{call}.{expires}.{base64.urlsafe_b64encode(proof).decode().rstrip('=')}"


def opened(token: str, keys: Iterable[str], now: float) -> str:
    """The SID of the call that a token opens.

    Args:
        token: as it came from outside.
        keys: the auth tokens in force, of which one must have signed it.
        now: seconds since the epoch.

    Raises:
        LinkRefused: garbled, signed with none of the keys, or expired.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise LinkRefused(expired=False)
    call_sid, expires = f"CA{match[1]}", int(match[2])
    # Each key is tried, so that the time taken does not tell which one fits.
    fits = [hmac.compare_digest(mint(call_sid, expires, key), token) for key in keys]
    if not any(fits):
        raise LinkRefused(expired=False)
    if now >= expires:
        raise LinkRefused(expired=True)
    return call_sid


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is to be sent, on the queue of messages; `expires` in seconds since the epoch."""

    call_sid: str
    url: str
    expires: int

    @classmethod
    def to(cls, call_sid: str, *, origin: str, expires: int, key: str) -> Link:
        """The link to a call's page at the webhook's public origin; `key` is the account's auth token."""
        return cls(call_sid, f"{origin}{PAGE}?token={mint(call_sid, expires, key)}", expires)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Link | None:
        """The link in a queue message's fields; None: they are not of this kind or not in form."""
        call_sid, url, expires = fields.get("call_sid"), fields.get("url"), fields.get("expires")
        if [fields.get("version"), fields.get("kind")] != [VERSION, KIND]:
            return None
        if not (isinstance(call_sid, str) and isinstance(url, str) and type(expires) is int):
            return None
        return cls(call_sid, url, expires) if CALL_SID.fullmatch(call_sid) and _URL.fullmatch(url) else None

    def to_json(self) -> str:
        """The body of the queue message."""
        known = {"call_sid": self.call_sid, "url": self.url, "expires": self.expires}
        return json.dumps({"version": VERSION, "kind": KIND, **known})
