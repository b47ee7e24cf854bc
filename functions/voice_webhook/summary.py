"""The page behind a screen-pop's link: who is calling, why, and what was said. A browser asks for it, not Twilio.

Whoever holds the link is let in, until it expires; so the page shows no number but masked ones, runs no script, loads
nothing, and is kept by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from contracts import events, screen_pop
from contracts.destination import Directory
from contracts.ledger import Ledger
from contracts.row import Row
from contracts.screen_pop import Link, LinkRefused
from functions.eventlog import EventLog
from functions.outbox import Outbox
from functions.secrets import SecretUnusable
from functions.voice_webhook.ends import LEDGER_FAILURES

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
EXPIRED = "This link has expired. The next call brings a new one."
UNKNOWN = "This link opens nothing. Please use the one from the message, whole."
AWAY = "The summary cannot be read right now. Please try again in a moment."
_NUMBER = re.compile(r"\+[0-9][0-9 ()./-]{5,}[0-9]")


class Page(NamedTuple):
    """An HTML document and the status it is sent with."""

    status: int
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summaries:
    """Shows summaries, and sends links to them. `tokens` gives the auth tokens in force, newest first."""

    ledger: Ledger
    people: Callable[[Row | None], Directory]
    tokens: Callable[[], Iterable[str]]
    messages: Outbox
    origin: str
    log: EventLog
    now: Callable[[], float]

    def send(self, row: Row, rung: str) -> None:
        """Have a link sent to where screen-pops go: `rung` (To) is a telephone that has begun to ring for this call."""
        pop = self.people(row).screen_pop
        if pop is None or rung.startswith("client:"):  # a client has the summary from its own parameters
            return
        expires = int(self.now()) + 60 * pop.minutes
        link = Link.to(row.call_sid, origin=self.origin, expires=expires, key=next(iter(self.tokens())))
        self.messages.send(link.to_json(), row.call_sid)

    def show(self, token: str) -> Page:
        """The page that a link's token opens, or one sentence: 404 not ours, 410 expired, 503 we cannot read."""
        try:
            row = self.ledger.read(screen_pop.opened(token, self.tokens(), self.now()))
        except LinkRefused as refused:
            return self._refuse(410 if refused.expired else 404, EXPIRED if refused.expired else UNKNOWN)
        except (*LEDGER_FAILURES, SecretUnusable) as error:
            self.log.fail(events.HANDLER_FAILED, route=screen_pop.PAGE, error=type(error).__name__)
            return Page(503, _document("Not now", [f"<p>{AWAY}</p>"]))
        if row is None:
            return self._refuse(404, UNKNOWN)
        self.log.write(events.SUMMARY_SHOWN, row.call_sid)
        return Page(200, _document("Call summary", _told(row, self.people(row))))

    def _refuse(self, status: int, sentence: str) -> Page:
        # No metric: the alarm on refused requests is about whoever pretends to be Twilio.
        why = "the link has expired" if status == 410 else "the link opens nothing"
        self.log.write(events.REQUEST_REFUSED, route=screen_pop.PAGE, status=status, why=why)
        return Page(status, _document("No summary", [f"<p>{escape(sentence)}</p>"]))


def _told(row: Row, directory: Directory) -> Iterator[str]:
    transfer = row.transfer
    known = {"Caller": row.call.caller_masked}
    if transfer:
        known["For"] = directory.resolve(transfer.position.destination).name
        known["Why"] = transfer.request.reason.value.replace("_", " ")
        known["Summary"] = transfer.request.summary or "nothing is known"
    yield "<dl>"
    yield from (f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in known.items())
    yield "</dl><h2>Conversation so far</h2>"
    yield from (f"<p><b>{turn.role}:</b> {_text(turn.text)}</p>" for turn in row.conversation)


def _text(text: str) -> str:
    return escape(_NUMBER.sub(lambda found: events.mask(found[0]), text))


def _document(title: str, body: Iterable[str]) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{"".join(body)}</body></html>'
