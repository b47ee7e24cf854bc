"""The Lambda behind every URL that Twilio asks: admits, routes, answers.

A question that should have TwiML gets TwiML even when our own code fails: the default person. Twilio's error voice is
for nobody's ears.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TextIO

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from contracts import events
from contracts.ledger import Ledger
from contracts.metrics import Metric
from functions.clients import aws
from functions.environment import origin, required
from functions.eventlog import EventLog
from functions.secrets import Secret, auth_tokens
from functions.snapshot import Started, register
from functions.transfer import directory
from functions.voice_webhook.answers import Answers
from functions.voice_webhook.reports import Reports
from functions.voice_webhook.request import Gate, Request, RequestRefused
from functions.voice_webhook.twiml import Documents

# Powertools keeps the request at hand in a class attribute. Lambda runs one request at a time; threads must as well.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Admits requests and hands each to the method that answers its route."""

    gate: Gate
    answers: Answers
    reports: Reports
    log: EventLog

    def routes(self) -> APIGatewayHttpResolver:
        """A resolver that knows every route."""
        app = APIGatewayHttpResolver()
        answers, reports = self.answers, self.reports

        @app.post("/voice/incoming")
        def incoming() -> Response[str]:
            return self._question(app, answers.incoming, "To")

        @app.post("/voice/stream-ended")
        def stream_ended() -> Response[str]:
            return self._question(app, answers.stream_ended)

        @app.post("/voice/dial-ended")
        def dial_ended() -> Response[str]:
            return self._question(app, answers.dial_ended, "DialCallStatus")

        @app.post("/voice/stream-status")
        def stream_status() -> Response[str]:
            return self._report(app, reports.stream_status, "StreamEvent", "StreamSid")

        @app.post("/voice/call-status")
        def call_status() -> Response[str]:
            return self._report(app, reports.call_status, "CallStatus")

        @app.post("/voice/leg-status")
        def leg_status() -> Response[str]:
            return self._report(app, reports.leg_status, "ParentCallSid", "CallStatus")

        app.not_found(self._not_found)
        return app

    def _question(self, app: APIGatewayHttpResolver, answer: Callable[[Request], str], *needed: str) -> Response[str]:
        event = app.current_event.raw_event
        request = Request(str(event.get("rawPath")), {"CallSid": ""}, {})
        try:
            request = self.gate.admit(event, *needed)
            twiml = answer(request)
        except RequestRefused as refused:
            return self._refuse(event, refused)
        except Exception as error:  # noqa: BLE001 - the edge of the process: the caller hears a person, the log the rest
            self._failed(request, error)
            twiml = self.answers.default_person(request, why="handler failed")
        return Response(200, "text/xml", twiml)

    def _report(self, app: APIGatewayHttpResolver, note: Callable[[Request], None], *needed: str) -> Response[str]:
        event = app.current_event.raw_event
        try:
            note(self.gate.admit(event, *needed))
        except RequestRefused as refused:
            return self._refuse(event, refused)
        return Response(204, body="")  # not null, which gateways other than AWS's own cannot send

    def _refuse(self, event: Mapping[str, Any], refused: RequestRefused) -> Response[str]:
        self.log.write(events.REQUEST_REFUSED, route=str(event.get("rawPath")), status=refused.status, why=refused.why)
        self.log.count(Metric.REQUESTS_REFUSED)
        return Response(refused.status, "text/plain", "refused")

    def _not_found(self, error: NotFoundError) -> Response[str]:
        self.log.write(events.REQUEST_REFUSED, route="unknown", status=error.status_code, why="no such route")
        return Response(404, "text/plain", "not found")

    def _failed(self, request: Request, error: Exception) -> None:
        self.log.fail(events.HANDLER_FAILED, request.call_sid, route=request.route, error=type(error).__name__)
        self.log.count(Metric.HANDLER_FAILURES)


def build(
    environ: Mapping[str, str],
    *,
    dynamodb: Any = None,
    secrets: Any = None,
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
    people = directory.load(Path(environ.get("AGENT_FILE") or "agent.yaml"))
    log = EventLog(events.Part.WEBHOOK, clock=clock, stream=stream)
    secrets, dynamodb = secrets or aws("secretsmanager"), dynamodb or aws("dynamodb")
    secret = Secret(token_secret, secrets)
    tokens = partial(auth_tokens, secret)
    ledger = Ledger(dynamodb, table, clock)
    answers = Answers(
        ledger=ledger,
        directory=people,
        documents=Documents(webhook_origin, media_origin, people.dial_seconds),
        tokens=tokens,
        log=log,
        now=clock,
    )
    webhook = Webhook(
        gate=Gate(webhook_origin, account_sid, tokens),
        answers=answers,
        reports=Reports(ledger=ledger, log=log),
        log=log,
    )
    app = webhook.routes()

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        with _ONE_AT_A_TIME:
            return app.resolve(event, context)

    return Started(handle, secrets=[secret], clients=[secrets, dynamodb])


@cache
def _handler() -> Started:
    return build(os.environ)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point."""
    return _handler()(event, context)


register(_handler)
