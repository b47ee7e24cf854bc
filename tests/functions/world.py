"""One live call, a queue that repeats itself, and a carrier that may or may not have heard: the real code runs in it.

Every call of the functions into the outside passes `World.boundary`, where time passes and where a test can kill the
invocation before or after the call took effect.
"""

from __future__ import annotations

import io
import random
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import EndpointConnectionError

from contracts import stream
from contracts.breaker import Breakers
from contracts.directory import Directory, load
from contracts.events import Part
from contracts.ledger import Ledger
from contracts.transfer import Reason, TransferRequest
from functions.eventlog import EventLog
from functions.outbox import Outbox
from functions.transfer import handler
from functions.transfer.carrier import Ambiguous, CallGone, Refused, Throttled
from functions.transfer.quota import Quota
from functions.voice_webhook.handler import wire
from functions.voice_webhook.request import Gate, Request
from functions.voice_webhook.twiml import Documents
from tests.contracts.table import FakeTable
from tests.functions.timeline import Killed, Timeline

Result = TypeVar("Result")

CALL_SID = "CA" + "a1" * 16
ACCOUNT_SID = "AC" + "b2" * 16
AUTH_TOKEN = "an auth token for tests"
PEOPLE = Path(__file__).with_name("people.yaml")
ORIGIN = "https://voice.example.com"
ENVIRONMENT = {
    "PUBLIC_WEBHOOK_ORIGIN": ORIGIN,
    "PUBLIC_MEDIA_ORIGIN": "wss://media.example.com",
    "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
    "TWILIO_REST_SECRET": "twilio-rest",
    "TWILIO_AUTH_TOKEN_SECRET": "twilio-token",
    "LEDGER_TABLE": "ledger",
    "TRANSFER_QUEUE_URL": "https://sqs.example.com/123456789012/transfers",
    "MESSAGE_QUEUE_URL": "https://sqs.example.com/123456789012/messages",
    "AGENT_FILE": str(PEOPLE),
}
INVOCATION_SECONDS = 60.0
QUEUE_VISIBILITY_SECONDS = 60.0
MAX_RECEIVES = 10


class Fault(StrEnum):
    """What can become of one REST update."""

    NONE = "none"
    ACCEPTED_THEN_TIMEOUT = "accepted, then timeout"
    LOST_THEN_TIMEOUT = "lost, then timeout"
    ACCEPTED_LATE = "timeout, and accepted at its end"
    ACCEPTED_THEN_500 = "accepted, then 500"
    LOST_THEN_500 = "500"
    THROTTLED = "429"
    REFUSED = "401"


@dataclass(frozen=True, slots=True)
class Dialled:
    """A `<Dial>` that the carrier executed."""

    number: str
    action: str
    at: float


class FakeCarrier:
    """The carrier and its caller; remembers every update, every dial and every document."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.live = True
        self.faults: list[Fault] = []
        self.listing_faults = 0
        self.updates: list[str] = []
        self.dials: list[Dialled] = []
        self.document = 0
        self._legs: list[tuple[str, float]] = []

    def update(self, call_sid: str, twiml: str) -> None:
        assert call_sid == CALL_SID
        self._world.boundary("rest.update", lambda: self._update(twiml))

    def legs(self, call_sid: str) -> list[str]:
        assert call_sid == CALL_SID
        return self._world.boundary("rest.legs", self._list)

    def execute(self, twiml: str) -> None:
        """Run a document on the call, as Twilio does when it takes an update or an answer."""
        self.document += 1
        root = ET.fromstring(twiml)
        for verb in root.iter("Dial"):
            sid = f"CA{len(self._legs):032x}"
            number = verb.findtext("Number") or ""
            self.dials.append(Dialled(number, verb.attrib["action"], self._world.timeline.now))
            self._legs.append((sid, self._world.timeline.now + self._world.lag()))
            self._world.leg_appears(sid, verb.attrib["action"])

    def _update(self, twiml: str) -> None:
        self.updates.append(twiml)
        fault = self.faults.pop(0) if self.faults else Fault.NONE
        timeline = self._world.timeline
        if fault is Fault.THROTTLED:
            raise Throttled(429, 20429)
        if fault is Fault.REFUSED:
            raise Refused(401, 20003)
        if not self.live:
            raise CallGone(400, 21220)
        if fault in {Fault.NONE, Fault.ACCEPTED_THEN_500, Fault.ACCEPTED_THEN_TIMEOUT}:
            self.execute(twiml)
        if fault is Fault.ACCEPTED_LATE:
            timeline.at(1.9, lambda: self.execute(twiml))
        if fault in {Fault.ACCEPTED_THEN_TIMEOUT, Fault.LOST_THEN_TIMEOUT, Fault.ACCEPTED_LATE}:
            timeline.sleep(2.0)
            raise Ambiguous
        if fault in {Fault.ACCEPTED_THEN_500, Fault.LOST_THEN_500}:
            raise Ambiguous(500, 20500)

    def _list(self) -> list[str]:
        if self.listing_faults:
            self.listing_faults -= 1
            raise Ambiguous
        return [sid for sid, visible_at in self._legs if visible_at <= self._world.timeline.now]


class FakeQueue:
    """SQS as the functions see it: they may only say when a message comes back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.visibility: dict[str, int] = {}
        self.failure: Exception | None = None
        self.loses = 0
        self.sent: list[dict[str, Any]] = []

    def send_message(self, **arguments: Any) -> None:
        def send() -> None:
            if self.loses:
                self.loses -= 1
                raise EndpointConnectionError(endpoint_url="https://sqs")
            self.sent.append(arguments)
            if arguments["QueueUrl"] == ENVIRONMENT["TRANSFER_QUEUE_URL"]:
                self._world.deliver(arguments["MessageBody"], after=arguments["DelaySeconds"] + 0.05)

        self._world.boundary("sqs.send", send)

    def change_message_visibility(self, **arguments: Any) -> None:
        def change() -> None:
            if self.failure is not None:
                raise self.failure
            self.visibility[arguments["ReceiptHandle"]] = arguments["VisibilityTimeout"]

        self._world.boundary("sqs.visibility", change)


@dataclass(frozen=True, slots=True)
class Context:
    """The Lambda context, as far as it is read."""

    remaining: Callable[[], float]
    function_name: str = "transfer"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining() * 1000)


class World:
    """Holds one call and everything around it. `rng` decides what chance decides."""

    def __init__(self, rng: random.Random | None = None, *, max_lag: float = 4.0) -> None:
        self.rng = rng or random.Random(0)
        self.max_lag = max_lag
        self.timeline = Timeline()
        self.points: list[str] = []
        self.kill_at: tuple[int, str] | None = None
        self.kill_chance = 0.0
        self.legs_report = False
        self.acknowledged = 0
        self.dead: list[str] = []
        self.stream_asked = False
        self.ended_by_answer: str | None = None
        self.table = FakeTable(self.boundary)
        self.directory = load(PEOPLE).directory
        self.carrier: Any = self.make_carrier()
        self.queue = FakeQueue(self)
        self.output = io.StringIO()
        self.ledger = Ledger(self.table, "ledger", self.timeline.clock)
        self.handlers = handler.build(
            ENVIRONMENT,
            dynamodb=self.table,
            sqs=self.queue,
            carrier=self.carrier,
            clock=self.timeline.clock,
            sleep=self.timeline.sleep,
            jitter=lambda: self.rng.uniform(0.2, 1.0),
            stream=self.output,
        )
        self.use(self.directory)
        log = EventLog(Part.WEBHOOK, clock=self.timeline.clock, stream=self.output)
        self.webhook = webhook = wire(
            gate=Gate(ORIGIN, ACCOUNT_SID, lambda: [AUTH_TOKEN]),
            ledger=self.ledger,
            quota=Quota(self.table, "ledger", self.timeline.clock),
            breakers=Breakers(self.table, "ledger", self.timeline.clock),
            people=lambda _row: self.directory,
            edition=lambda: "",
            documents=Documents(ORIGIN, "wss://media.example.com"),
            tokens=lambda: [AUTH_TOKEN],
            transfers=Outbox(self.queue, ENVIRONMENT["TRANSFER_QUEUE_URL"], log),
            messages=Outbox(self.queue, ENVIRONMENT["MESSAGE_QUEUE_URL"], log),
            log=log,
            now=self.timeline.clock,
        )
        self.answers, self.reports, self.people = webhook.answers, webhook.reports, webhook.people

    def make_carrier(self) -> Any:
        return FakeCarrier(self)

    def use(self, people: Directory) -> None:
        """Let every part find these people."""
        self.directory = people
        handlers = [self.handlers.handler, self.handlers.last_resort]
        for n, one in enumerate(handlers):
            assert isinstance(one, handler.Consumer)
            watching = one.dialer.watching
            hunting = replace(watching.hunting, people=lambda _row: self.directory)
            handlers[n] = replace(one, dialer=replace(one.dialer, watching=replace(watching, hunting=hunting)))
        self.handlers = handler.Handlers(*handlers)

    def boundary(self, name: str, act: Callable[[], Result]) -> Result:
        """Where the code under test meets the outside."""
        if self.timeline.idle:
            return act()
        self.points.append(name)
        point = len(self.points) - 1
        self._die(point, "before")
        self.timeline.sleep(self.rng.uniform(0.001, 0.08))
        result = act()
        self._die(point, "after")
        return result

    def _die(self, point: int, moment: str) -> None:
        if self.kill_at == (point, moment) or self.rng.random() < self.kill_chance:
            raise Killed

    def lag(self) -> float:
        """How long a new child leg stays out of the listing."""
        return self.rng.uniform(0, self.max_lag)

    def open_call(self) -> None:
        self.ledger.open_call(
            CALL_SID,
            account_sid=ACCOUNT_SID,
            caller_masked="***99",
            called="+15550100000",
            caller_id="",
            caller_key="a caller",
            nonce="n",
            digest="d",
        )
        self.ledger.take_stream(CALL_SID, "d")

    def request(self, destination: str = "billing") -> TransferRequest:
        return TransferRequest.create(
            call_sid=CALL_SID, destination=destination, reason=Reason.CALLER_ASKED, now=self.timeline.now
        )

    def deliver(self, body: str, *, after: float = 0.0, receives: int = 1, attribute: str = CALL_SID) -> None:
        """Put one copy of a message before the functions, and again until it is acknowledged."""
        sent_at = self.timeline.now
        self._deliver(body, after, receives, sent_at, attribute)

    def _deliver(self, body: str, after: float, receives: int, sent_at: float, attribute: str) -> None:
        self.timeline.at(after, lambda: self._receive(body, receives, sent_at, attribute))

    def _receive(self, body: str, receives: int, sent_at: float, attribute: str) -> None:
        last_resort = receives > MAX_RECEIVES
        if last_resort and body not in self.dead:
            self.dead.append(body)
        receipt = f"receipt-{self.rng.random()}"
        back_in = QUEUE_VISIBILITY_SECONDS
        deadline = self.timeline.now + INVOCATION_SECONDS
        context = Context(lambda: deadline - self.timeline.now)
        event = sqs_event(body, receipt, receives, sent_at, "transfers-dlq" if last_resort else "transfers", attribute)
        take = self.handlers.last_resort if last_resort else self.handlers.handler
        try:
            failed = take(event, context)["batchItemFailures"]
        except Killed:
            failed = [receipt]
        else:
            back_in = self.queue.visibility.get(receipt, back_in)
        if failed:
            self._deliver(body, back_in, receives + 1, sent_at, attribute)
        else:
            self.acknowledged += 1

    def twilio_asks(self, *, after: float = 0.0, visit: int = 1) -> None:
        """The stream ends: Twilio asks what next, and does what it is told unless an update came first."""
        self.stream_asked = True
        self.timeline.at(after, lambda: self._ask(visit))

    def _ask(self, visit: int) -> None:
        if self.carrier.dials:
            return
        document = self.carrier.document
        question = Request("/voice/stream-ended", {"CallSid": CALL_SID}, {"visit": str(visit)})
        try:
            twiml = self.answers.stream_ended(question)
        except Killed:  # a failed answer is asked for again: retry or fallback URL
            self.timeline.at(1.0, lambda: self._ask(visit))
            return
        if self.carrier.document != document:
            return
        verbs = [verb.tag for verb in ET.fromstring(twiml)]
        if verbs[-1] == "Redirect" and "Connect" not in verbs:
            self.timeline.at(1.0 if "Pause" in verbs else 0.05, lambda: self._ask(visit))
        elif "Dial" in verbs:
            self.carrier.execute(twiml)
        else:
            self.ended_by_answer = "+".join(verbs)

    def leg_appears(self, sid: str, action: str) -> None:
        """Twilio's statusCallback about the person's leg, if this world has them."""
        if self.legs_report and "request=" in action:
            request_id = action.partition("request=")[2][:32]
            fields = {"CallSid": sid, "ParentCallSid": CALL_SID, "CallStatus": "ringing"}
            report = Request("/voice/leg-status", fields, {"request": request_id})
            self.timeline.at(self.rng.uniform(0.1, 3.0), lambda: self.reports.leg_status(report))


def sqs_event(
    body: str,
    receipt: str = "receipt",
    receives: int = 1,
    sent_at: float = 0.0,
    queue: str = "transfers",
    attribute: str = CALL_SID,
) -> dict[str, Any]:
    """An SQS event with one record, as Lambda delivers it."""
    attributes = {"call_sid": {"stringValue": attribute, "dataType": "String"}} if attribute else {}
    return {
        "Records": [
            {
                "messageId": receipt,
                "receiptHandle": receipt,
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": str(receives),
                    "SentTimestamp": str(int(sent_at * 1000)),
                    "SenderId": "AIDA",
                    "ApproximateFirstReceiveTimestamp": str(int(sent_at * 1000)),
                },
                "messageAttributes": attributes,
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
                "awsRegion": "us-east-1",
            }
        ]
    }


def fresh_digest() -> tuple[str, str]:
    """A nonce and the digest of the first visit's token."""
    nonce = stream.nonce()
    return nonce, stream.digest(stream.mint(CALL_SID, 1, nonce, AUTH_TOKEN))
