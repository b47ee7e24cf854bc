"""The commands where all is real that can be: webhook, relay process, and AWS, Twilio and OpenAI on the wire."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import requests

from simulators.cloud.emulator import Emulator
from simulators.model.listening import ListeningMind
from simulators.settings import LOCAL_ACCOUNT_SID, LOCAL_AUTH_TOKEN, LOCAL_OPENAI_KEY, Settings
from simulators.stack import LocalStack, local_stack
from tests.cli.cloud import Cloud
from tests.cli.health import OUTPUTS
from tests.cli.operating import Background

NUMBER = "+15550100000"
KEYS = {
    "account_sid": LOCAL_ACCOUNT_SID,
    "auth_token": LOCAL_AUTH_TOKEN,
    "api_key_sid": "SK" + "1" * 32,
    "api_key_secret": "canary-api-key-secret",
    "openai_api_key": LOCAL_OPENAI_KEY,
}
# What the emulator has no tasks and no alarms for, and what this machine may not have.
ELSEWHERE = {"container engine", "arm64 images", "CDK CLI", "tasks", "alarms"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    emulator = Emulator()
    address = emulator.start()
    requests.post(f"{address}/moto-api/reset", timeout=10).raise_for_status()  # moto keeps its state per process
    try:
        yield address
    finally:
        emulator.stop()


@pytest.fixture(scope="module")
def stack(endpoint: str) -> Iterator[LocalStack]:
    background, up = Background(), AsyncExitStack()
    settings = Settings(webhook_port=0, relay_port=0, drain_seconds=0, aws_endpoint_url=endpoint)

    async def start() -> LocalStack:
        return await up.enter_async_context(local_stack(settings, {}, lambda _line: None, mind=ListeningMind))

    try:
        yield background.do(start())
    finally:
        background.do(up.aclose())
        background.stop()


@pytest.fixture
def cloud(
    endpoint: str, stack: LocalStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cloud:
    assert stack.carrier
    assert stack.model
    stack.carrier.credentials[KEYS["api_key_sid"]] = KEYS["api_key_secret"]
    monkeypatch.setenv("TWILIO_API_BASE_URL", stack.carrier.api_base_url)
    monkeypatch.setenv("OPENAI_REALTIME_URL", stack.model.url)
    return Cloud(endpoint, monkeypatch, capsys, empty=False)


def checks(cloud: Cloud) -> dict[str, dict[str, Any]]:
    ran = cloud.run("doctor", "--json")
    assert KEYS["api_key_secret"] not in ran.text
    assert LOCAL_AUTH_TOKEN not in ran.text
    return {one["check"]: one for one in json.loads(ran.out)["checks"]}


def marks(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["mark"] for name, one in found.items() if name not in ELSEWHERE}


def test_from_an_empty_account_to_a_line_that_answers(
    cloud: Cloud, stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack.carrier
    found = checks(cloud)
    assert found["secrets"]["mark"] == "bad"
    assert found["CDK bootstrap"]["mark"] == "bad"
    assert found["stack"]["text"] == "not deployed yet"

    cloud.aws("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="29", Type="String")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(KEYS)))
    stored = cloud.run("secrets", "set", "--from-stdin")
    assert stored.status == 0, stored.err
    found = checks(cloud)
    assert {found[name]["mark"] for name in ("secrets", "Twilio account", "Twilio REST", "OpenAI session")} == {"good"}
    assert found["stack"]["repair"] == "make deploy STAGE=dev"

    dead = cloud.aws("sqs").create_queue(QueueName="dead")["QueueUrl"]
    public = {
        "VoiceWebhookUrl": f"{stack.webhook}/voice/incoming",
        "CallStatusUrl": f"{stack.webhook}/voice/call-status",
        "PublicWebhookOrigin": stack.webhook,
        "PublicMediaOrigin": stack.media,
        "TransferQueueUrl": stack.queue_url,
        "DeadLetterQueueUrl": dead,
    }
    cloud.deploy({**OUTPUTS, **public})
    found = checks(cloud)
    assert found["webhook"]["mark"] == found["forged webhook"]["mark"] == found["media socket"]["mark"] == "good"
    assert found["number"]["repair"] == "./patchthrough number attach +1… --stage dev"

    stack.carrier.numbers.add(NUMBER)
    attached = cloud.run("number", "attach", NUMBER)
    assert attached.status == 0, attached.err
    found = checks(cloud)
    assert set(marks(found).values()) == {"good"}, found
    assert found["number"]["data"]["numbers"] == [NUMBER]
    assert json.loads(cloud.run("status", "--json").out)["numbers"]["numbers"] == [NUMBER]

    stack.carrier.debugger.record(31920, "CA" + "1" * 32, "the media socket was refused")
    stack.carrier.account.type = "Trial"
    stack.carrier.account.dialing = {"DE"}
    spoilt = checks(cloud)
    told = {name: spoilt[name]["mark"] for name in ("Twilio's alerts", "Twilio account", "destinations")}
    assert told == {"Twilio's alerts": "warning", "Twilio account": "warning", "destinations": "bad"}


def test_S12_no_check_and_no_line_of_status_tells_a_secret(cloud: Cloud) -> None:
    for command in (("doctor",), ("doctor", "--json"), ("status",), ("status", "--json")):
        ran = cloud.run(*command)
        for secret in (LOCAL_AUTH_TOKEN, KEYS["api_key_secret"], LOCAL_OPENAI_KEY):
            assert secret not in ran.text
    assert "Twilio account" in cloud.run("doctor").out
