from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cli.status import show
from contracts.metrics import NAMESPACE, SERVICE_DIMENSION, Metric
from simulators.cloud.emulator import Emulator
from tests.cli.cloud import Cloud
from tests.cli.health import OUTPUTS, Healthy, Paper


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    emulator = Emulator()
    try:
        yield emulator.start()
    finally:
        emulator.stop()


@pytest.fixture
def cloud(endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cloud:
    return Cloud(endpoint, monkeypatch, capsys)


def test_every_line_of_a_healthy_stage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper()
    show(Healthy(), paper)
    assert "2 running of 2" in paper.read()
    assert "7 with the agent, 1 on leaving tasks" in paper.read()
    show(Healthy(), Paper(as_json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["live_calls"] == {"mark": "good", "active": 7, "draining": 1}
    assert document["numbers"]["numbers"] == ["+15550100000"]
    assert document["dead_letters"]["count"] == 0


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    line = Healthy()
    del line.aws_.counts
    show(line, Paper(as_json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["tasks"]["mark"] == "bad"
    assert document["tasks"]["repair"]
    assert document["alarms"]["mark"] == "good"


def test_over_the_wire_each_line_says_what_aws_says(cloud: Cloud) -> None:
    sqs, cloudwatch, ssm = cloud.aws("sqs"), cloud.aws("cloudwatch"), cloud.aws("ssm")
    queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("transfers", "dead")}
    cloud.deploy({**OUTPUTS, "TransferQueueUrl": queues["transfers"], "DeadLetterQueueUrl": queues["dead"]})
    sqs.send_message(QueueUrl=queues["dead"], MessageBody="{}")
    # Two tasks, each in the same ten seconds.
    at = datetime.fromtimestamp(time.time() // 10 * 10 - 30, UTC)
    dimensions = [{"Name": SERVICE_DIMENSION, "Value": "relay"}]
    point = {"MetricName": Metric.ACTIVE_CALLS.value, "Dimensions": dimensions, "Timestamp": at, "StorageResolution": 1}
    cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=[{**point, "Value": 3.0}, {**point, "Value": 4.0}])
    alarm = {"MetricName": "m", "Namespace": "n", "Period": 60, "EvaluationPeriods": 1, "Statistic": "Sum"}
    cloudwatch.put_metric_alarm(
        AlarmName="patchthrough-dev: Tasks missing",
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        **alarm,
    )
    cloudwatch.set_alarm_state(AlarmName="patchthrough-dev: Tasks missing", StateValue="ALARM", StateReason="test")
    content = json.dumps({"number": "+15550100000", "previous": {}, "ours": []})
    ssm.put_parameter(Name=f"/patchthrough/dev/numbers/PN{'1' * 32}", Value=content, Type="String")
    ran = cloud.run("status", "--json")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    assert document["stack"]["status"] == "CREATE_COMPLETE"
    assert document["stack"]["outputs"]["DeadLetterQueueUrl"] == queues["dead"]
    assert document["live_calls"]["active"] == 7
    assert document["dead_letters"]["count"] == 1
    assert document["transfer_queue"]["waiting"] == 0
    assert document["alarms"]["ringing"] == ["Tasks missing"]
    assert document["numbers"]["numbers"] == ["+15550100000"]
    assert document["tasks"]["mark"] == "bad"  # the emulator has no cluster of this name
    assert "VoiceWebhookUrl" in cloud.run("status").out


def test_a_stage_that_is_not_deployed_is_shown_as_such(cloud: Cloud) -> None:
    ran = cloud.run("status")
    assert ran.status == 0
    assert "not deployed yet" in ran.out
    assert "make deploy STAGE=dev" in ran.out
