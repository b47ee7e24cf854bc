"""What AWS says of the deployed stack: what `doctor` judges and `status` shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from cli.checks.check import Check, Finding, bad, good, not_checked, warning
from cli.checks.neighbours import Neighbours
from contracts.events import Part
from contracts.metrics import NAMESPACE, SERVICE_DIMENSION, Metric

_GAUGE = timedelta(minutes=3)
_GAUGE_SECONDS = 10
"""The relay publishes one line a task and ten seconds, so the sum of a period is the fleet's."""
_SLOW_QUEUE_SECONDS = 15
_CREDENTIALS = "check the AWS credentials and region"


def stack(neighbours: Neighbours) -> Finding:
    """The CloudFormation stack."""
    stage = neighbours.settings
    deploy = f"make deploy STAGE={stage.stage}"
    try:
        (found,) = neighbours.aws("cloudformation").describe_stacks(StackName=stage.stack_name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return not_checked("not deployed yet", deploy, name=stage.stack_name, status=None)
    state = str(found["StackStatus"])
    data = {"name": stage.stack_name, "status": state, "outputs": dict(neighbours.outputs())}
    if state in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}:
        return good(f"{stage.stack_name}: {state}", **data)
    if state == "UPDATE_ROLLBACK_COMPLETE":
        return warning("the last deploy was rolled back; the one before is running", deploy, **data)
    if state.endswith("_IN_PROGRESS"):
        return warning(f"{stage.stack_name}: {state}", "wait until it is done", **data)
    if state in {"ROLLBACK_COMPLETE", "DELETE_FAILED"}:
        return bad(f"{stage.stack_name}: {state}", f"make destroy STAGE={stage.stage}, then {deploy}", **data)
    return bad(f"{stage.stack_name}: {state}", f"see the stack's events in CloudFormation, then {deploy}", **data)


def tasks(neighbours: Neighbours) -> Finding:
    """The relay's tasks."""
    outputs = neighbours.outputs()
    cluster, service = outputs["ClusterName"], outputs["ServiceName"]
    services = neighbours.aws("ecs").describe_services(cluster=cluster, services=[service])["services"]
    if not services:
        return bad("the service is gone", f"make deploy STAGE={neighbours.stage}")
    counts = {name: int(services[0].get(f"{name}Count", 0)) for name in ("running", "desired", "pending")}
    text = f"{counts['running']} running of {counts['desired']}, {counts['pending']} starting"
    rollout = next((one.get("rolloutState", "") for one in services[0].get("deployments", [])), "")
    look = f"aws ecs describe-services --cluster {cluster} --services {service} --query 'services[0].events[:5]'"
    if counts["running"] == 0:
        return bad(f"{text}: every caller is put through to the default person", look, **counts, rollout=rollout)
    if counts["running"] < counts["desired"] or rollout == "FAILED":
        return warning(text, look, **counts, rollout=rollout)
    return good(text, **counts, rollout=rollout)


def live_calls(neighbours: Neighbours) -> Finding:
    """Calls with the agent, of accepting tasks and of leaving ones, as the relay last counted them."""
    cloudwatch, now = neighbours.aws("cloudwatch"), neighbours.now()
    names = {"active": Metric.ACTIVE_CALLS, "draining": Metric.DRAINING_CALLS}
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[_gauge(key, name) for key, name in names.items()],
        StartTime=now - _GAUGE,
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    series = {
        one["Id"]: list(zip(one["Timestamps"], one["Values"], strict=True)) for one in answer["MetricDataResults"]
    }
    # The newest period may still lack a task's line.
    full = {key: [value for at, value in sorted(points, reverse=True)][:2] for key, points in series.items()}
    counts = {key: int(max(full.get(key, []), default=0)) for key in names}
    if not full.get("active"):
        look = f"./patchthrough doctor --stage {neighbours.stage}"
        return warning("no task has said anything for three minutes", look, active=None, draining=counts["draining"])
    return good(f"{counts['active']} with the agent, {counts['draining']} on leaving tasks", **counts)


def _gauge(key: str, metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": SERVICE_DIMENSION, "Value": Part.RELAY.value}]
    named = {"Namespace": NAMESPACE, "MetricName": metric.value, "Dimensions": dimensions}
    return {"Id": key, "MetricStat": {"Metric": named, "Period": _GAUGE_SECONDS, "Stat": "Sum"}}


def queue(neighbours: Neighbours) -> Finding:
    """Transfers that wait: how many, and how long the oldest has."""
    url = neighbours.outputs()["TransferQueueUrl"]
    waiting, working = _depth(neighbours, url)
    data: dict[str, Any] = {"waiting": waiting, "in_flight": working, "oldest_seconds": _oldest(neighbours, url)}
    oldest = data["oldest_seconds"]
    text = f"{waiting} waiting, {working} being handled" + (f", the oldest for {oldest:g} s" if oldest else "")
    if waiting and oldest is not None and oldest > _SLOW_QUEUE_SECONDS:
        return bad(text, "docs/runbook.md, 'Transfers waiting'", **data)
    return good(text, **data)


def _oldest(neighbours: Neighbours, url: str) -> float | None:
    now = neighbours.now()
    points = neighbours.aws("cloudwatch").get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": url.rsplit("/", 1)[-1]}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    newest = max(points, key=lambda point: point["Timestamp"], default=None)
    return float(newest["Maximum"]) if newest else None


def dead_letters(neighbours: Neighbours) -> Finding:
    """Transfers that neither the function nor the last resort could make."""
    url = neighbours.outputs()["DeadLetterQueueUrl"]
    waiting, working = _depth(neighbours, url)
    count = waiting + working
    if count:
        return bad(f"{count} transfers reached nobody", "docs/runbook.md, 'Last resort failing'", count=count)
    return good("none", count=0)


def _depth(neighbours: Neighbours, url: str) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = neighbours.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def alarms(neighbours: Neighbours) -> Finding:
    """The stack's alarms that ring; each is named after its heading in the run book."""
    prefix = f"{neighbours.settings.stack_name}: "
    pages = neighbours.aws("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    every = [alarm for page in pages for alarm in page.get("MetricAlarms", [])]
    ringing = [alarm["AlarmName"].removeprefix(prefix) for alarm in every if alarm["StateValue"] == "ALARM"]
    if not every:
        return warning("there are none", f"make deploy STAGE={neighbours.stage}", ringing=[], of=0)
    if ringing:
        text = f"{len(ringing)} of {len(every)} ring: {', '.join(ringing)}"
        return bad(text, f"docs/runbook.md, '{ringing[0]}'", ringing=ringing, of=len(every))
    return good(f"none of {len(every)} rings", ringing=[], of=len(every))


STACK = Check("stack", stack, _CREDENTIALS, needs=("AWS account",))
_NEEDS = ("stack",)
TASKS = Check("tasks", tasks, _CREDENTIALS, needs=_NEEDS)
LIVE_CALLS = Check("live calls", live_calls, _CREDENTIALS, needs=_NEEDS)
QUEUE = Check("transfer queue", queue, _CREDENTIALS, needs=_NEEDS)
DEAD_LETTERS = Check("dead letters", dead_letters, _CREDENTIALS, needs=_NEEDS)
ALARMS = Check("alarms", alarms, _CREDENTIALS, needs=_NEEDS)
