"""A deployed line in full health, as the checks see it; a test spoils what it wants spoilt."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError
from twilio.request_validator import RequestValidator

from cli.attachments import Attachment
from cli.checks.check import Check, Finding, Mark, examine
from cli.checks.doors import Answer
from cli.checks.neighbours import Neighbours
from cli.deployment import ROOT
from cli.screen import Screen
from infra.settings import Settings, load

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NUMBER = "+15550100000"
ACCOUNT = "AC" + "0" * 32
TOKEN = "canary-auth-token"
ORIGIN, MEDIA = "https://webhook.example.com", "wss://media.example.com"
OUTPUTS = {
    "VoiceWebhookUrl": f"{ORIGIN}/voice/incoming",
    "CallStatusUrl": f"{ORIGIN}/voice/call-status",
    "PublicWebhookOrigin": ORIGIN,
    "PublicMediaOrigin": MEDIA,
    "LedgerTable": "ledger",
    "TransferQueueUrl": "https://sqs.example.com/1/transfers",
    "DeadLetterQueueUrl": "https://sqs.example.com/1/dead",
    "ClusterName": "cluster",
    "ServiceName": "service",
    "LogGroups": "/patchthrough/dev/webhook,/patchthrough/dev/transfer,/patchthrough/dev/relay",
}
FALLBACK = "https://patchthrough-dev-1234-live.twil.io/fallback.xml"
TWIML = "<Response><Say>One moment.</Say><Dial><Number>+15550100003</Number></Dial></Response>"
RELAYS_REFUSAL = Answer(403, "text/plain; charset=utf-8", "")


def client_error(code: str, operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{code} happened"}}, operation)


class Aws:
    """Every AWS service that is asked, healthy until told otherwise."""

    def __init__(self) -> None:
        self.stack_status: str | None = "CREATE_COMPLETE"
        self.counts = {"runningCount": 2, "desiredCount": 2, "pendingCount": 0}
        self.services = 1
        self.depths = {"transfers": (0, 0), "dead": (0, 0)}
        self.alarms = {"Tasks missing": "OK", "Webhook failing": "OK"}
        self.gauges: dict[str, list[float]] = {"active": [7.0, 6.0], "draining": [1.0]}
        self.ages: list[float] = []

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/operator"}

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        if self.stack_status is None:
            raise client_error("ValidationError")
        return {"Stacks": [{"StackStatus": self.stack_status}]}

    def describe_services(self, **_: Any) -> dict[str, Any]:
        return {"services": [{**self.counts, "deployments": [{"rolloutState": "COMPLETED"}]}] * self.services}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str]) -> dict[str, Any]:  # noqa: N803 - AWS's names
        depth = self.depths[QueueUrl.rsplit("/", 1)[-1]]
        return {"Attributes": dict(zip(AttributeNames, map(str, depth), strict=True))}

    def get_metric_data(self, **_: Any) -> dict[str, Any]:
        at = [NOW, NOW.replace(second=0)]
        return {
            "MetricDataResults": [
                {"Id": key, "Timestamps": at[: len(values)], "Values": values} for key, values in self.gauges.items()
            ]
        }

    def get_metric_statistics(self, **_: Any) -> dict[str, Any]:
        return {"Datapoints": [{"Timestamp": NOW, "Maximum": age} for age in self.ages]}

    def get_paginator(self, _: str) -> Any:
        def paginate(*, AlarmNamePrefix: str) -> list[dict[str, Any]]:  # noqa: N803 - AWS's names
            named = [{"AlarmName": AlarmNamePrefix + name, "StateValue": state} for name, state in self.alarms.items()]
            return [{"MetricAlarms": named[:1]}, {"MetricAlarms": named[1:]}]

        return SimpleNamespace(paginate=paginate)


class Listed:
    """A resource of Twilio's client that can be listed; remembers the filters."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.asked: list[Mapping[str, Any]] = []

    def list(self, **filters: Any) -> list[Any]:
        self.asked.append(filters)
        code = filters.get("country_code")
        return [item for item in self.items if code is None or code in item.country_codes]


def number(**changes: Any) -> SimpleNamespace:
    fields = {
        "sid": "PN" + "1" * 32,
        "phone_number": NUMBER,
        "capabilities": {"voice": True},
        "voice_url": OUTPUTS["VoiceWebhookUrl"],
        "voice_method": "POST",
        "voice_fallback_url": FALLBACK,
        "voice_fallback_method": "GET",
        "voice_application_sid": "",
        "trunk_sid": None,
    }
    return SimpleNamespace(**fields | changes)


def country(name: str, code: str, *, enabled: bool) -> SimpleNamespace:
    return SimpleNamespace(name=name, iso_code=name[:2], country_codes=[code], low_risk_numbers_enabled=enabled)


class Healthy(Neighbours):
    """Everybody answers well. What was asked of the two doors is in `knocks`."""

    def __init__(self, stage: str = "dev") -> None:
        super().__init__(stage)
        self.settings_: Settings = load(ROOT, "dev")
        self.aws_ = Aws()
        self.programs: dict[str, str | Exception] = {"node": "v24.1.0", "docker": "28.0"}
        self.stored = {
            self.settings_.auth_token_secret: json.dumps({"current": TOKEN}),
            self.settings_.rest_secret: json.dumps({"username": "SK" + "1" * 32, "password": "canary-secret"}),
            self.settings_.openai_secret: "sk-canary",
        }
        self.parameters = {self.settings_.account_sid_parameter: ACCOUNT, "/cdk-bootstrap/hnb659fds/version": "29"}
        self.account = SimpleNamespace(status="active", type="Full")
        self.username = "SK" + "1" * 32
        self.numbers = Listed(number())
        self.countries = Listed(country("United States", "1", enabled=True))
        self.alerts = Listed()
        self.attached = [Attachment(sid="PN" + "1" * 32, number=NUMBER, previous={})]
        self.webhook: list[Answer] = []
        self.media = RELAYS_REFUSAL
        self.fallback = Answer(200, "text/xml", TWIML)
        self.knocks: list[tuple[str, Any]] = []

    @property
    def settings(self) -> Settings:
        return self.settings_

    def now(self) -> datetime:
        return NOW

    def run(self, *command: str) -> str:
        said = self.programs.get(command[0].rsplit("/", 1)[-1])
        if said is None:
            raise FileNotFoundError(command[0])
        if isinstance(said, Exception):
            raise said
        return said

    def region(self) -> str:
        return "eu-central-1"

    def aws(self, service: str) -> Any:
        return self.aws_

    def outputs(self) -> Mapping[str, str]:
        return OUTPUTS

    def secret(self, name: str) -> str | None:
        return self.stored.get(name)

    def parameter(self, name: str) -> str | None:
        return self.parameters.get(name)

    def auth_tokens(self) -> Sequence[str]:
        return [TOKEN]

    def twilio(self) -> Any:
        return SimpleNamespace(
            username=self.username,
            incoming_phone_numbers=self.numbers,
            voice=SimpleNamespace(
                v1=SimpleNamespace(dialing_permissions=SimpleNamespace(countries=self.countries)),
            ),
            monitor=SimpleNamespace(v1=SimpleNamespace(alerts=self.alerts)),
        )

    def twilio_by_token(self) -> Any:
        fetch = SimpleNamespace(fetch=lambda: self.account)
        return SimpleNamespace(api=SimpleNamespace(v2010=SimpleNamespace(account=fetch)))

    def open_model(self) -> None:
        return

    def ask_webhook(self, url: str, form: Mapping[str, str], signature: str) -> Answer:
        self.knocks.append((url, dict(form)))
        if self.webhook:
            return self.webhook.pop(0)
        if not RequestValidator(TOKEN).validate(url, dict(form), signature):
            return Answer(403, "text/plain", "refused")
        return Answer(200, "text/xml", "<Response><Hangup/></Response>", 0.2)

    def ask_media(self, url: str) -> Answer:
        self.knocks.append((url, None))
        return self.media

    def fetch(self, method: str, url: str) -> Answer:
        self.knocks.append((url, method))
        return self.fallback

    def attachments(self) -> Sequence[Attachment]:
        return self.attached


def ask(check: Check, neighbours: Neighbours) -> Finding:
    """One check, guarded as the command guards it, and without what it builds upon."""
    alone = Check(check.name, check.ask, check.repair, seconds=check.seconds)
    ((_, finding),) = examine([alone], neighbours)
    assert finding.repair or finding.mark in {Mark.GOOD, Mark.NOT_CHECKED}
    return finding


class Paper(Screen):
    """A screen that can be read."""

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__(as_json=as_json)
        self._paper = io.StringIO()
        self._out.file = self._paper

    def read(self) -> str:
        return self._paper.getvalue()


NOT_ANSWERING = subprocess.CalledProcessError(1, "docker")
