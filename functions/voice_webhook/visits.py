"""The caller's visits to the agent: who is offered one, and what a question about an earlier one is answered.

It gets the same stream again while that is unspent, else it is sent to ask about the present visit. So a replayed
question opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contracts import events, stream
from contracts.directory import Directory
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import Row, StreamState
from contracts.sentences import Sentence, spoken
from contracts.visit import Resumes
from functions.eventlog import EventLog
from functions.voice_webhook.twiml import Documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """Offers visits.

    `people` gives the directory of a call, `tokens` the auth tokens in force, newest first, `now` seconds since the
    epoch.
    """

    ledger: Ledger
    documents: Documents
    people: Callable[[Row | None], Directory]
    tokens: Callable[[], Iterable[str]]
    log: EventLog
    now: Callable[[], float]

    def newest_token(self) -> str:
        """The auth token that new things are signed with."""
        return next(iter(self.tokens()))

    def offer(self, row: Row, visit: int, *, why: str, after_loss: bool = False, resumes: Resumes | None = None) -> str:
        """Offer the visit that follows `visit`; without a word to a caller who was moved and `resumes` there."""
        nonce = stream.nonce()
        token = stream.mint(row.call_sid, visit + 1, nonce, self.newest_token())
        offered = self.ledger.offer_stream(
            row.call_sid,
            visit + 1,
            nonce=nonce,
            digest=stream.digest(token),
            after_loss=after_loss,
            resumes=resumes,
        )
        if offered is None or offered.over:
            return self.documents.hang_up()
        if offered.stream.nonce != nonce:
            return self.present(offered)
        return self.begin(offered, token, why=why, reconnecting=after_loss)

    def begin(self, row: Row, token: str, *, why: str, reconnecting: bool = False) -> str:
        """The stream of a visit that has just been offered."""
        self.log.write(events.STREAM_OFFERED, row.call_sid, visit=row.stream.visit, why=why)
        self.log.count(Metric.STREAMS_OFFERED)
        return self._stream(row, token, reconnecting=reconnecting)

    def present(self, row: Row) -> str:
        """The same stream again while its token is unspent; else a question about the visit that spent it."""
        present = row.stream
        if present.state is StreamState.OFFERED and self.now() - present.offered_at <= stream.TOKEN_SECONDS:
            for key in self.tokens():
                token = stream.mint(row.call_sid, present.visit, present.nonce, key)
                if stream.digest(token) == present.digest:
                    return self._stream(row, token, reconnecting=present.after_loss)
        return self.documents.ask_again(present.visit)

    def _stream(self, row: Row, token: str, *, reconnecting: bool) -> str:
        sentence = spoken(Sentence.RECONNECTING, self.people(row).language) if reconnecting else None
        return self.documents.stream(row.call_sid, row.stream.visit, token, sentence=sentence)
