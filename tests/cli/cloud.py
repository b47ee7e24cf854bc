"""A deployed stage in the emulator: its stack's outputs, its log groups and their lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
import requests

from cli.app import main
from contracts.events import Event, record
from tests.cli.health import OUTPUTS
from tests.cli.operating import Ran

GROUPS = OUTPUTS["LogGroups"].split(",")


class Cloud:
    """The account that commands run against."""

    def __init__(
        self,
        endpoint: str,
        monkeypatch: pytest.MonkeyPatch,
        capture: pytest.CaptureFixture[str],
        *,
        empty: bool = True,
    ) -> None:
        if empty:
            requests.post(f"{endpoint}/moto-api/reset", timeout=10).raise_for_status()
        self._capture = capture
        told = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }
        for name, value in told.items():
            monkeypatch.setenv(name, value)

    def aws(self, service: str) -> Any:
        make: Any = boto3.client
        return make(service)

    def deploy(self, outputs: Mapping[str, str] = OUTPUTS) -> None:
        template = {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
        self.aws("cloudformation").create_stack(StackName="patchthrough-dev", TemplateBody=json.dumps(template))
        for group in GROUPS:
            self.aws("logs").create_log_group(logGroupName=group)
            self.aws("logs").create_log_stream(logGroupName=group, logStreamName="stream")

    def log(self, group: int, now: float, *messages: str) -> None:
        """Lines in one of the groups, logged at `now` (seconds since the epoch)."""
        lines = [{"timestamp": int(now * 1000), "message": message} for message in messages]
        self.aws("logs").put_log_events(logGroupName=GROUPS[group], logStreamName="stream", logEvents=lines)

    def run(self, *arguments: str) -> Ran:
        """A command as it is typed, in this process."""
        self._capture.readouterr()
        status = main(arguments)
        out, err = self._capture.readouterr()
        return Ran(status, out, err)


def line(event: Event, **fields: Any) -> str:
    """An event line as the parts log it."""
    return json.dumps(record(event, **fields))
