"""The Lambda behind every URL that Twilio asks: admits, routes, answers.

A question that should have TwiML gets TwiML even when our own code fails: the default person. Twilio's error voice is
for nobody's ears.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, TextIO
from urllib.parse import parse_qs

from contracts import events, screen_pop
from contracts.breaker import Breakers
from contracts.directory import Directory
from contracts.ledger import Ledger
from contracts.metrics import Metric
from contracts.row import Row
from functions import live_config
from functions.clients import aws
from functions.environment import origin, required
from functions.eventlog import EventLog
from functions.outbox import Outbox
from functions.secrets import AUTH_TOKENS, Secret, SecretUnusable, auth_tokens
from functions.snapshot import Started, register
from functions.transfer.hunting import Hunting
from functions.transfer.quota import Quota
from functions.voice_webhook.answers import Answers
from functions.voice_webhook.circuit import Circuit
from functions.voice_webhook.ends import Ends
from functions.voice_webhook.people import People
from functions.voice_webhook.reports import Reports
from functions.voice_webhook.request import Gate, Request, RequestRefused
from functions.voice_webhook.summary import HEADERS, Summaries
from functions.voice_webhook.transfers import Transfers
from functions.voice_webhook.twiml import Documents
from functions.voice_webhook.visits import Visits

Answer = Callable[[Request], str]
Route = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Admits requests and hands each to the method that answers its route."""

    gate: Gate
    answers: Answers
    people: People
    reports: Reports
    summaries: Summaries
    log: EventLog

    def handle(self, event: dict[str, Any]) -> dict[str, Any]:
        """Answer one request of an HTTP API, in its payload format 2.0; any number at once.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
        """
        method = event.get("requestContext", {}).get("http", {}).get("method")
        route = self._routes.get(str(event.get("rawPath"))) if method == "POST" else None
        if method == "GET" and event.get("rawPath") == screen_pop.PAGE:
            return self._page(event)
        if route is None:
            self.log.write(events.REQUEST_REFUSED, route="unknown", status=404, why="no such route")
            return _response(404, "text/plain", "not found")
        try:
            return route(event)
        except RequestRefused as refused:
            path = str(event.get("rawPath"))
            self.log.write(events.REQUEST_REFUSED, route=path, status=refused.status, why=refused.why)
            self.log.count(Metric.REQUESTS_REFUSED)
            return _response(refused.status, "text/plain", "refused")

    def _page(self, event: dict[str, Any]) -> dict[str, Any]:
        asked = parse_qs(str(event.get("rawQueryString") or ""))
        page = self.summaries.show(asked.get("token", [""])[0])
        answer = _response(page.status, "text/html; charset=utf-8", page.html)
        return answer | {"headers": answer["headers"] | HEADERS}

    @cached_property
    def _routes(self) -> dict[str, Route]:
        answers, people, reports = self.answers, self.people, self.reports
        of_caller: dict[str, tuple[Answer, tuple[str, ...]]] = {
            "incoming": (answers.incoming, ("To",)),
            "stream-ended": (answers.stream_ended, ()),
            "dial-ended": (answers.dial_ended, ("DialCallStatus",)),
            "queue-ended": (answers.queue_ended, ("QueueResult",)),
            "queue-wait": (answers.queue_wait, ()),
            "meeting-empty": (answers.meeting_empty, ()),
            "message": (self._thank, ("RecordingSid", "RecordingUrl")),
        }
        of_person = {
            "whisper": people.whisper,
            "whisper-key": people.whisper_key,
            "attend": people.attend,
            "attend-key": people.attend_key,
        }
        told = {
            "stream-status": (reports.stream_status, ("StreamEvent", "StreamSid")),
            "call-status": (reports.call_status, ("CallStatus",)),
            "leg-status": (reports.leg_status, ("ParentCallSid", "CallStatus")),
            "attend-ended": (reports.attend_ended, ("CallStatus",)),
            "recording": (reports.recording, ("RecordingSid", "RecordingUrl")),
        }
        routes: dict[str, Route] = {
            name: partial(self._question, answer, needed) for name, (answer, needed) in of_caller.items()
        }
        routes |= {name: partial(self._question, answer, (), of_person=True) for name, answer in of_person.items()}
        routes |= {name: partial(self._report, note, needed) for name, (note, needed) in told.items()}
        return {f"/voice/{name}": route for name, route in routes.items()}

    def _admit(self, event: dict[str, Any], needed: tuple[str, ...]) -> Request:
        """Who cannot be verified because we cannot read our secret gets an answer; nobody else who is not proven does.

        Raises:
            RequestRefused: not proven, or nothing that can be read.
            SecretUnusable: nothing can be proven.
        """
        try:
            return self.gate.admit(event, *needed)
        except (RequestRefused, SecretUnusable):
            raise
        except Exception as error:
            raise RequestRefused(400, f"it cannot be read: {type(error).__name__}") from error

    def _thank(self, request: Request) -> str:
        self.reports.message(request)
        return self.answers.thanks()

    def _question(
        self, answer: Answer, needed: tuple[str, ...], event: dict[str, Any], *, of_person: bool = False
    ) -> dict[str, Any]:
        request = Request(str(event.get("rawPath")), {"CallSid": ""}, {})
        try:
            request = self._admit(event, needed)
            twiml = answer(request)
        except RequestRefused:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of the process: the caller hears a person, the log the rest
            self._failed(request, error)
            # To dial is forbidden on a dialled leg: https://www.twilio.com/docs/api/errors/13201
            documents = self.answers.documents
            why = "handler failed"
            twiml = documents.hang_up() if of_person else self.answers.default_person(request, why=why)
        return _response(200, "text/xml", twiml)

    def _report(
        self, note: Callable[[Request], None], needed: tuple[str, ...], event: dict[str, Any]
    ) -> dict[str, Any]:
        note(self._admit(event, needed))
        return _response(204, "text/plain", "")  # not null, which gateways other than AWS's own cannot send

    def _failed(self, request: Request, error: Exception) -> None:
        self.log.fail(events.HANDLER_FAILED, request.call_sid, route=request.route, error=type(error).__name__)
        self.log.count(Metric.HANDLER_FAILURES)


def _response(status: int, content_type: str, body: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": content_type}, "body": body, "isBase64Encoded": False}


def wire(  # noqa: PLR0913 - every neighbour of the function, by name
    *,
    gate: Gate,
    ledger: Ledger,
    quota: Quota,
    breakers: Breakers,
    people: Callable[[Row | None], Directory],
    edition: Callable[[], str],
    documents: Documents,
    tokens: Callable[[], Iterable[str]],
    transfers: Outbox,
    messages: Outbox,
    log: EventLog,
    now: Callable[[], float],
) -> Webhook:
    """The function from its neighbours."""
    hunting = Hunting(ledger=ledger, people=people, quota=quota, log=log, now=now)
    ends = Ends(ledger=ledger, transfers=transfers, log=log)
    visits = Visits(ledger=ledger, documents=documents, people=people, tokens=tokens, log=log, now=now)
    summaries = Summaries(
        ledger=ledger,
        people=people,
        tokens=tokens,
        messages=messages,
        origin=documents.webhook_origin,
        log=log,
        now=now,
    )
    transferring = Transfers(
        ledger=ledger, hunting=hunting, visits=visits, documents=documents, ends=ends, log=log, now=now
    )
    return Webhook(
        gate=gate,
        answers=Answers(
            transfers=transferring, visits=visits, ends=ends, circuit=Circuit(breakers, log), edition=edition
        ),
        people=People(ledger=ledger, hunting=hunting, documents=documents, ends=ends, transfers=transfers, log=log),
        reports=Reports(
            ledger=ledger,
            hunting=hunting,
            ends=ends,
            transfers=transfers,
            messages=messages,
            summaries=summaries,
            log=log,
            now=now,
        ),
        summaries=summaries,
        log=log,
    )


def build(
    environ: Mapping[str, str],
    *,
    dynamodb: Any = None,
    secrets: Any = None,
    sqs: Any = None,
    clock: Callable[[], float] = time.time,
    stream: TextIO = sys.stdout,
) -> Started:
    """Wire the function from an environment; boto3 clients that are not given are made.

    Raises:
        EnvironmentRefused: a variable is missing or wrong.
        DirectoryRefused: the agent file has no usable directory.
    """
    names = ("PUBLIC_WEBHOOK_ORIGIN", "PUBLIC_MEDIA_ORIGIN", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN_SECRET")
    webhook_origin, media_origin, account_sid, token_secret, table = required(environ, *names, "LEDGER_TABLE")
    webhook_origin = origin("PUBLIC_WEBHOOK_ORIGIN", webhook_origin, "https", "http")
    media_origin = origin("PUBLIC_MEDIA_ORIGIN", media_origin, "wss", "ws")
    log = EventLog(events.Part.WEBHOOK, clock=clock, stream=stream)
    secrets, dynamodb, sqs = secrets or aws("secretsmanager"), dynamodb or aws("dynamodb"), sqs or aws("sqs")
    appconfig = aws("appconfigdata") if environ.get("LIVE_CONFIG") else None
    config = live_config.build(environ, dynamodb=dynamodb, table=table, log=log, appconfigdata=appconfig, now=clock)
    secret = Secret(token_secret, secrets, needed=AUTH_TOKENS, tell=log.secret_failed)
    tokens = partial(auth_tokens, secret)
    webhook = wire(
        gate=Gate(webhook_origin, account_sid, tokens),
        ledger=Ledger(dynamodb, table, clock),
        quota=Quota(dynamodb, table, clock),
        breakers=Breakers(dynamodb, table, clock),
        people=config.people,
        edition=config.begin,
        documents=Documents(webhook_origin, media_origin),
        tokens=tokens,
        transfers=Outbox(sqs, environ.get("TRANSFER_QUEUE_URL", ""), log),
        messages=Outbox(sqs, environ.get("MESSAGE_QUEUE_URL", ""), log),
        log=log,
        now=clock,
    )
    return Started(
        lambda event, _context: webhook.handle(event),
        secrets=[secret],
        clients=[secrets, dynamodb, sqs, *([appconfig] if appconfig else [])],
    )


@cache
def _handler() -> Started:
    return build(os.environ)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point."""
    return _handler()(event, context)


register(_handler)
