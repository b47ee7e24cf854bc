"""Who may visit the agent: when a stream is offered, whose token opens it, and why a token opens nothing.

offered -> live -> ended      the first to offer a visit and the first to take its token win, and both only once

A visit that a relay ended because it had to go is *moved*: nothing was lost, and the next visit goes on where it
stopped. A visit whose relay has stopped without a word is *swept* by another relay: the caller goes to a person. A
visit that a relay has *refused*, for want of room or because it leaves, is no loss either: the next one begins as that
one would have, as often as `TRIED_AGAIN` says.
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


class Resumes(StrEnum):
    """How the visit after a moved one begins: whose turn it is."""

    SPEAKING = "speaking"  # the agent takes up its sentence, or answers
    LISTENING = "listening"


MOVED = {"relay_draining": Resumes.SPEAKING, "relay_draining_listening": Resumes.LISTENING}
"""Why a relay ends a stream that is to go on elsewhere, and how it goes on there."""
MOST_MOVES = 10  # then it counts as a loss: a call that no relay keeps shall reach a person
SWEPT = "relay_silent"
NOT_QUEUED = "transfer_not_queued"  # the caller was to go to a person, and perhaps nobody knows to whom
FULL, DRAINING = "full", "draining"
TRIED_AGAIN = {FULL: 1, DRAINING: 3}
"""Why a relay refuses a visit that Twilio and the token vouch for, and how often in a row another relay is tried.

A load balancer stops sending to a relay that leaves, so that another try finds another; where one is full, others are.
"""


class StreamRefused(Exception):  # noqa: N818 - it names what happened to the stream
    """The token opens nothing; `reason` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


def moved(row: Row) -> Resumes | None:
    """How the call goes on if its relay has just sent it elsewhere; None if not."""
    stream = row.stream
    if stream.state is not StreamState.ENDED or stream.moved >= MOST_MOVES:
        return None
    return MOVED.get(stream.ended_reason)


def next_visit(
    row: Row, visit: int, *, nonce: str, digest: str, now: float, after_loss: bool, resumes: Resumes | None = None
) -> Stream | None:
    """The stream to offer as `visit`; None when that is not the call's next one, or the call is over."""
    before = row.stream
    if row.over or visit != before.visit + 1:
        return None
    again = bool(before.refused)  # nobody had it, so what it was meant to be is still to come
    return Stream(
        visit,
        nonce,
        digest,
        offered_at=now,
        after_loss=after_loss or (again and before.after_loss),
        lost=before.lost + after_loss,
        resumes=resumes.value if resumes else before.resumes if again else "",
        moved=before.moved + (resumes is not None),
        refusals=before.refusals + 1 if again else 0,
    )


def may_try_again(row: Row) -> bool:
    """Whether the caller whose visit was refused may be offered another, rather than a person."""
    return row.stream.refusals < TRIED_AGAIN.get(row.stream.refused, 0)


def may_take(row: Row, digest: str, now: float, relay: str = "") -> Stream | Refusal:
    """The stream, live at `relay`, if the token of this digest opens it at `now`; else why it does not."""
    stream = row.stream
    if row.over:
        return Refusal.CALL_OVER
    if stream.digest != digest:
        return Refusal.WRONG_TOKEN
    if stream.state is not StreamState.OFFERED:
        return Refusal.SPENT
    if now - stream.offered_at > TOKEN_SECONDS:
        return Refusal.EXPIRED
    return replace(stream, state=StreamState.LIVE, relay=relay)


def swept(row: Row, visit: int, relay: str) -> Stream | None:
    """The stream, ended, if that visit is still live at that relay; None: nothing is to be taken."""
    stream = row.stream
    if row.over or (stream.visit, stream.relay, stream.state) != (visit, relay, StreamState.LIVE):
        return None
    return replace(stream, state=StreamState.ENDED, ended_reason=SWEPT)
