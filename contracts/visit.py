"""Who may visit the agent: when a stream is offered, whose token opens it, and why a token opens nothing.

offered -> live -> ended      the first to offer a visit and the first to take its token win, and both only once
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from contracts.row import Row, Stream, StreamState
from contracts.stream import TOKEN_SECONDS


class Refusal(StrEnum):
    """Why a stream token was not taken."""

    UNKNOWN_CALL = "unknown_call"
    WRONG_TOKEN = "wrong_token"  # noqa: S105 - the name of a refusal
    SPENT = "spent"
    EXPIRED = "expired"
    CALL_OVER = "call_over"


class StreamRefused(Exception):  # noqa: N818 - it names what happened to the stream
    """The token opens nothing; `reason` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


def next_visit(row: Row, visit: int, *, nonce: str, digest: str, now: float, after_loss: bool) -> Stream | None:
    """The stream to offer as `visit`; None when that is not the call's next one, or the call is over."""
    if row.over or visit != row.stream.visit + 1:
        return None
    return Stream(visit, nonce, digest, offered_at=now, after_loss=after_loss, lost=row.stream.lost + after_loss)


def may_take(row: Row, digest: str, now: float) -> Stream | Refusal:
    """The stream, live, if the token of this digest opens it at `now`; else why it does not."""
    stream = row.stream
    if row.over:
        return Refusal.CALL_OVER
    if stream.digest != digest:
        return Refusal.WRONG_TOKEN
    if stream.state is not StreamState.OFFERED:
        return Refusal.SPENT
    if now - stream.offered_at > TOKEN_SECONDS:
        return Refusal.EXPIRED
    return replace(stream, state=StreamState.LIVE)
