"""The environment of a function: read once, whole, and refused with every fault named."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit


class EnvironmentRefused(RuntimeError):  # noqa: N818 - it names what became of the environment
    """A variable is missing or wrong; the text names each and what to set."""


def required(environ: Mapping[str, str], *names: str) -> list[str]:
    """The values of all `names`.

    Raises:
        EnvironmentRefused: one or more are missing or blank; all of them are named.
    """
    missing = [name for name in names if not environ.get(name, "").strip()]
    if missing:
        raise EnvironmentRefused(f"set {', '.join(missing)}: the function cannot work without")
    return [environ[name] for name in names]


def origin(name: str, value: str, *schemes: str) -> str:
    """A public origin, `scheme://host[:port]`, as Twilio sees and signs it.

    Raises:
        EnvironmentRefused: another scheme, no host, a user before it or anything behind it.
    """
    parts = urlsplit(value)
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in schemes or not parts.hostname or more:
        raise EnvironmentRefused(f"{name} must be {' or '.join(schemes)}://host[:port] and nothing else")
    return value.rstrip("/")
