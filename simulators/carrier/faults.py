"""What can go wrong between a REST client and Twilio, as data: did the request act, and what came back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A REST request that a fault may befall; `call_sid` is "" where the path names no call."""

    method: str
    path: str
    call_sid: str
    form: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One request's bad luck.

    Attributes:
        acts: Whether the request still does what it asks.
        status: The HTTP status answered; 0 is the true answer.
        code: Twilio's error code in the body.
        wait: Seconds before anything is answered.
        hangs_up: The connection is dropped instead of answered.
    """

    acts: bool = True
    status: int = 0
    code: int = 20500
    wait: float = 0.0
    hangs_up: bool = False

    @classmethod
    def accept_then_timeout(cls, seconds: float = 30.0) -> Fault:
        """The request acts, and the client waits in vain."""
        return cls(wait=seconds, hangs_up=True)

    @classmethod
    def error(cls, status: int = 500, *, acted: bool = False) -> Fault:
        """A server error, before or after acting."""
        return cls(acts=acted, status=status)

    @classmethod
    def refuse(cls, status: int = 429) -> Fault:
        """Too many requests: never acted upon (https://www.twilio.com/docs/api/errors/20429)."""
        return cls(acts=False, status=status, code=20429 if status == 429 else status)

    @classmethod
    def delay(cls, seconds: float) -> Fault:
        """The true answer, late."""
        return cls(wait=seconds)

    @classmethod
    def drop(cls, *, acted: bool = False) -> Fault:
        """The connection breaks without an answer."""
        return cls(acts=acted, hangs_up=True)


# A list is used up by the updates of live calls, one each; a callable is asked about every request.
Faults = list[Fault | None] | Callable[[Request], Fault | None]
