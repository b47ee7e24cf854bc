from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.assertions import Template

from contracts import agent_file
from contracts.ledger import MESSAGE_SECONDS
from functions.messages.handler import LONGEST_PAUSE_SECONDS, pause
from functions.messages.post import SECONDS
from infra import settings
from infra.app import ROOT
from infra.messages import RECEIVES, TIMEOUT_SECONDS, Messages


class Made:
    """The construct in a stack of its own."""

    def __init__(self, deliver: dict[str, str] | None, directory: Path) -> None:
        content = agent_file.load(ROOT / "agent.yaml").written
        if deliver:
            content["voicemail"] = {"greeting": "Speak.", "deliver": deliver}
        path = directory / "agent.yaml"
        path.write_text(json.dumps(content), encoding="utf-8")
        stage = replace(settings.load(ROOT, "prod"), agent=agent_file.load(path))
        stack = cdk.Stack(cdk.App(), "Test")
        self.messages = Messages(
            stack,
            "Messages",
            code=lambda_.Code.from_inline("-"),
            environment={"LEDGER_TABLE": "ledger"},
            settings=stage,
            log_group=logs.LogGroup(stack, "Logs"),
        )
        self.grants = [(action, stack.resolve(resource)) for action, resource in self.messages.grants()]
        self.messages.connect()
        self.resources = Template.from_stack(stack).to_json()["Resources"]

    def of_type(self, kind: str) -> dict[str, Any]:
        return {name: one["Properties"] for name, one in self.resources.items() if one["Type"] == f"AWS::{kind}"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(None, tmp_path_factory.mktemp("messages"))


def test_a_message_that_comes_back_too_often_rests_among_the_dead_letters(made: Made) -> None:
    queues = made.of_type("SQS::Queue")
    ((name, queue),) = ((name, one) for name, one in queues.items() if "RedrivePolicy" in one)
    assert queue["RedrivePolicy"]["maxReceiveCount"] == RECEIVES
    (dead,) = queues.keys() - {name}
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [dead, "Arn"]}
    assert all(one["SqsManagedSseEnabled"] for one in queues.values())


def test_the_queue_is_patient_for_hours_and_keeps_what_is_dead_as_long_as_the_row(made: Made) -> None:
    patience = sum(pause(receives) for receives in range(1, RECEIVES))
    assert 6 * 3600 < patience < 8 * 3600
    for queue in made.of_type("SQS::Queue").values():
        assert queue["MessageRetentionPeriod"] == MESSAGE_SECONDS
        assert queue["VisibilityTimeout"] >= 6 * TIMEOUT_SECONDS
    assert LONGEST_PAUSE_SECONDS < 43_200
    assert TIMEOUT_SECONDS >= 4 * SECONDS


def test_one_message_at_a_time_and_only_what_failed_comes_back(made: Made) -> None:
    (mapping,) = made.of_type("Lambda::EventSourceMapping").values()
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_signing_secret_is_made_by_aws_and_goes_with_the_stack(made: Made) -> None:
    ((name, secret),) = made.of_type("SecretsManager::Secret").items()
    assert secret["Name"] == "patchthrough/prod/message-webhook"
    assert secret["GenerateSecretString"]["GenerateStringKey"] == "current"
    assert "SecretString" not in secret
    assert made.resources[name]["DeletionPolicy"] == "Delete"
    (function,) = made.of_type("Lambda::Function").values()
    assert function["Handler"] == "functions.messages.handler.handler"
    assert {"LEDGER_TABLE", "MESSAGE_QUEUE_URL", "MESSAGE_WEBHOOK_SECRET"} <= function["Environment"][
        "Variables"
    ].keys()


RECEIVE = {f"sqs:{one}" for one in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility")}


@pytest.mark.parametrize(
    ("deliver", "allowed"),
    [
        (None, set()),
        ({"webhook": "https://crm.example.com/"}, set()),
        ({"topic": "arn:aws:sns:us-east-1:123456789012:voicemail"}, {"sns:Publish"}),
        ({"email": "desk@example.com"}, {"ses:SendEmail"}),
        ({"email": "desk@example.com", "sender": "calls@example.org"}, {"ses:SendEmail"}),
    ],
)
def test_S11_delivering_takes_what_the_channel_takes_and_no_more(
    tmp_path: Path, deliver: dict[str, str] | None, allowed: set[str]
) -> None:
    made = Made(deliver, tmp_path)
    grants = made.grants
    assert made.messages.address == ([*deliver.values()][-1] if deliver and allowed else "")
    assert {action for action, _ in grants} == {"secretsmanager:GetSecretValue"} | RECEIVE | allowed
    assert not [resource for _, resource in grants if "*" in json.dumps(resource)]


def test_S11_an_e_mail_goes_out_in_one_name_only(tmp_path: Path) -> None:
    assert senders(Made({"email": "desk@example.com"}, tmp_path)) == ["desk@example.com", "example.com"]


def test_S11_an_e_mail_with_a_sender_goes_out_in_the_senders_name_only(tmp_path: Path) -> None:
    made = Made({"email": "desk@example.com", "sender": "calls@example.org"}, tmp_path)
    assert senders(made) == ["calls@example.org", "example.org"]


def senders(made: Made) -> list[str]:
    identities = [json.dumps(resource) for action, resource in made.grants if action == "ses:SendEmail"]
    return [one.rpartition(":identity/")[2].rstrip('"]}') for one in identities]
