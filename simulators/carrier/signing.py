"""Twilio's request signature, after its description (https://www.twilio.com/docs/usage/security), not its library."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.carrier.variants import Variants


def sign(auth_token: str, url: str, parameters: Mapping[str, str] | None = None) -> str:
    """`X-Twilio-Signature`: base64 of HMAC-SHA1 over the URL, then each name and value in order of names."""
    text = url.partition("#")[0] + "".join(name + value for name, value in sorted((parameters or {}).items()))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), hashlib.sha1)).decode()


def stream_url(url: str, variants: Variants) -> str:
    """The form of a stream's URL that is signed for its handshake: `wss://` and, by variant, a slash or port 443."""
    if variants.signed_url == "slash":
        return url if url.endswith("/") else url + "/"
    parts = urlsplit(url)
    if variants.signed_url == "port" and parts.port is None:
        return urlunsplit(parts._replace(netloc=f"{parts.netloc}:443"))
    return url
