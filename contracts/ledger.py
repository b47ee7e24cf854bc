"""The ledger: one row a call, and every rule about what may happen to it.

Every method is one atomic change, decided by a function of the row alone, and saying a thing twice changes nothing the
second time. One stream token is spent once, one claim is held at a time, no terminal state is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from contracts.row import Call, Ending, Message, Row, Status, Stream, StreamState, Transfer, TransferState, Turn
from contracts.transfer import TransferRequest
from contracts.transfers import Transfers
from contracts.visit import SWEPT, Refusal, Resumes, StreamRefused, may_take, next_visit, swept

ROW_SECONDS = 24 * 3600
MESSAGE_SECONDS = 14 * 24 * 3600  # an undelivered message outlives every queue it may wait in
TURNS = 60
TURN_CHARS = 1000
TERMINAL_STATUS = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class Ledger(Transfers):
    """The table of calls: what `Transfers` says of the person, and here, of the call and its visits to the agent.

    Args:
        client: a low-level DynamoDB client; its errors pass through.
        table: its name; key `call_sid` (S), TTL attribute `expires_at`.
        now: seconds since the epoch.
    """

    def read(self, call_sid: str) -> Row | None:
        """The row as of the last write, or None."""
        return self._store.read(call_sid)

    def open_call(  # noqa: PLR0913 - what a call is known by
        self,
        call_sid: str,
        *,
        account_sid: str,
        caller_masked: str,
        called: str,
        caller_id: str,
        nonce: str,
        digest: str,
        caller_key: str = "",
        edition: str = "",
    ) -> Row:
        """Open the row and offer visit 1. The first wins: whoever comes later gets the row that is there."""
        now = self._now()
        return self._store.create(
            Row(
                call_sid=call_sid,
                call=Call(account_sid, caller_masked, called, caller_id, now, caller_key, edition),
                stream=Stream(visit=1, nonce=nonce, digest=digest, offered_at=now),
                status=Status("ringing"),
                expires_at=int(now) + ROW_SECONDS,
            )
        )

    def offer_stream(
        self,
        call_sid: str,
        visit: int,
        *,
        nonce: str,
        digest: str,
        after_loss: bool = False,
        resumes: Resumes | None = None,
    ) -> Row | None:
        """Offer the next visit; the first to offer it wins and everyone gets the winner's row (None: unknown call).

        Nothing is offered when `visit` is not the next one, or the call is over: compare `row.stream`.
        """

        def decide(row: Row) -> Row | None:
            offered = next_visit(
                row, visit, nonce=nonce, digest=digest, now=self._now(), after_loss=after_loss, resumes=resumes
            )
            return replace(row, stream=offered) if offered else None

        return self._change(call_sid, decide)

    def take_stream(self, call_sid: str, digest: str, relay: str = "") -> Row:
        """Spend a token: exactly one of any number of takers gets the row, which names its `relay` from now on.

        Raises:
            StreamRefused: unknown call, wrong or spent token, older than 60 s, or the call is over.
        """
        refusal = Refusal.UNKNOWN_CALL

        def decide(row: Row) -> Row | None:
            nonlocal refusal
            live_or_not = may_take(row, digest, self._now(), relay)
            if isinstance(live_or_not, Stream):
                return replace(row, stream=live_or_not)
            refusal = live_or_not
            return None

        row, changed = self._store.change(call_sid, decide)
        if row is None or not changed:
            raise StreamRefused(refusal)
        return row

    def refuse_stream(self, call_sid: str, digest: str, why: str) -> bool:
        """No relay has this visit, because one was `full` or `draining`; its token stays unspent. One request.

        False: unknown call, or the token is spent, wrong, or one of an earlier visit.
        """
        return self._store.refuse(call_sid, digest, why)

    def stream_started(self, call_sid: str, visit: int, stream_sid: str) -> Row | None:
        """The visit's stream has this SID now."""

        def decide(row: Row) -> Row | None:
            if row.stream.visit != visit or row.stream.stream_sid:
                return None
            return replace(row, stream=replace(row.stream, stream_sid=stream_sid))

        return self._change(call_sid, decide)

    def stream_ended(self, call_sid: str, visit: int, reason: str) -> Row | None:
        """The visit is over; the first reason stays."""

        def decide(row: Row) -> Row | None:
            if row.stream.visit != visit or row.stream.state is StreamState.ENDED:
                return None
            return replace(row, stream=replace(row.stream, state=StreamState.ENDED, ended_reason=reason))

        return self._change(call_sid, decide)

    def sweep(self, request: TransferRequest, visit: int, relay: str, *, again: bool) -> TransferRequest | None:
        """Take a call from a relay that is silent: what is to be put on the queue then, `request` or one that was open.

        None: that visit is not live at that relay any more, so its caller is in other hands. `again`: also what was
        taken before and nobody has claimed, in case its taker could not queue it.
        """
        taken = False

        def decide(row: Row) -> Row | None:
            nonlocal taken
            stream = swept(row, visit, relay)
            taken = stream is not None
            return replace(row, stream=stream, transfer=row.open_transfer or Transfer(request)) if stream else None

        row = self._change(request.call_sid, decide)
        transfer = row.open_transfer if row else None
        if row is None or transfer is None:
            return None
        forgotten = again and (row.stream.visit, row.stream.ended_reason, transfer.state) == (
            visit,
            SWEPT,
            TransferState.ASKED,
        )
        return transfer.request if taken or forgotten else None

    def remember(self, call_sid: str, visit: int, turns: Sequence[Turn], spent: float = 0.0) -> bool:
        """Store the whole conversation so far (its last 60 turns), and what all visits have `spent` on it, in USD.

        False: unknown call, more is stored already, or a later visit has taken over.
        """
        kept = tuple(replace(turn, text=_storable(turn.text)) for turn in turns[-TURNS:])
        return self._store.converse(call_sid, visit, kept, spent)

    def agent_ended(self, call_sid: str, reason: str) -> Row | None:
        """The agent has said goodbye and wants the call ended; the first reason stays."""
        return self._change(call_sid, lambda row: None if row.agent_ended else replace(row, agent_ended=reason))

    def message_taken(self, call_sid: str, message: Message) -> tuple[Row, bool] | None:
        """The caller has left a message; the first of a call stays, also after its end. Returns what `advance` does."""

        def decide(row: Row) -> Row | None:
            if row.message is not None:
                return None
            expires_at = max(row.expires_at, int(self._now()) + MESSAGE_SECONDS)
            return replace(row, message=message, expires_at=expires_at)

        row, changed = self._store.change(call_sid, decide)
        return None if row is None else (row, changed)

    def message_delivered(self, call_sid: str, recording_sid: str) -> bool:
        """The message has reached its address. False: there is no such message, or it had."""

        def decide(row: Row) -> Row | None:
            message = row.message
            if message is None or message.recording_sid != recording_sid or message.delivered_at:
                return None
            return replace(row, message=replace(message, delivered_at=self._now()))

        return self._store.change(call_sid, decide)[1]

    def call_status(
        self, call_sid: str, status: str, sequence: int = -1, *, by: str = "caller"
    ) -> tuple[Row, bool] | None:
        """Twilio's word on the call. A terminal status ends it for good; an older sequence number changes nothing.

        Returns:
            The row and whether this very word ended the call; None for an unknown call.
        """

        def decide(row: Row) -> Row | None:
            if row.status.status in TERMINAL_STATUS:
                return None
            ends = status in TERMINAL_STATUS
            if not ends and (sequence < row.status.sequence or status == row.status.status):
                return None
            ending = row.ending or (Ending(status, by, self._now()) if ends else None)
            return replace(row, status=Status(status, max(sequence, row.status.sequence)), ending=ending)

        return self._ended(call_sid, decide)

    def end_call(self, call_sid: str, reason: str, *, by: str) -> tuple[Row, bool] | None:
        """The call is answered with its end; the first reason stays. Returns what `call_status` returns."""

        def decide(row: Row) -> Row | None:
            return None if row.ending else replace(row, ending=Ending(reason, by, self._now()))

        return self._ended(call_sid, decide)

    def _ended(self, call_sid: str, decide: Callable[[Row], Row | None]) -> tuple[Row, bool] | None:
        ended = False

        def watched(row: Row) -> Row | None:
            nonlocal ended
            decided = decide(row)
            ended = decided is not None and decided.over and not row.over
            return decided

        row = self._change(call_sid, watched)
        return None if row is None else (row, ended)


def _storable(text: str) -> str:
    return text[:TURN_CHARS].encode("utf-8", "replace").decode("utf-8")
