"""Public names that have no name server: whom a front such as CloudFront or API Gateway would hand a request to.

The stand-in signs the public URL as Twilio does, and then asks the plain end behind the front: TLS ends at a front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

_PLAIN: Mapping[str, str] = {"https": "http", "wss": "ws"}


@dataclass(frozen=True, slots=True)
class Fronts:
    """`behind`: public host name to the (host, port) of the plain server behind it; other names are not touched."""

    behind: dict[str, tuple[str, int]] = field(default_factory=dict)

    def resolve(self, url: str) -> tuple[str, tuple[str, int] | None]:
        """The URL to ask, still with its public name, and the address to ask it at; None for the URL's own."""
        parts = urlsplit(url)
        address = self.behind.get(parts.hostname or "")
        if address is None:
            return url, None
        return urlunsplit(parts._replace(scheme=_PLAIN.get(parts.scheme, parts.scheme))), address
