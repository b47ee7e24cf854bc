from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from contracts import events
from contracts.events import Part
from contracts.metrics import NAMESPACE, Metric
from functions.eventlog import EventLog
from infra.alarms import anchor
from infra.app import ROOT
from infra.dashboard import QUERIES
from tests.infra.conftest import Synthesised

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)


def ours(stack: Synthesised) -> dict[str, Any]:
    """Heading to properties of every alarm but those that only scale."""
    alarms = stack.of_type("CloudWatch::Alarm").items()
    return {one["AlarmName"].partition(": ")[2]: one for name, one in alarms if name.startswith("Alarms")}


def metrics(stack: Synthesised) -> Iterator[dict[str, Any]]:
    for alarm in ours(stack).values():
        if "MetricName" in alarm:
            yield alarm
        for query in alarm.get("Metrics", []):
            if "MetricStat" in query:
                yield query["MetricStat"]["Metric"]


def test_every_alarm_has_a_heading_in_the_run_book_and_every_heading_an_alarm(stack: Synthesised) -> None:
    assert list(HEADINGS) == sorted(HEADINGS, key=list(ours_in_order(stack)).index)
    assert set(HEADINGS) == ours(stack).keys()


def ours_in_order(stack: Synthesised) -> list[str]:
    widgets = stack.one("CloudWatch::Dashboard")["DashboardBody"]["Fn::Join"][1]
    ids = [part["Fn::GetAtt"][0] for part in widgets if isinstance(part, dict) and "Fn::GetAtt" in part]
    alarms = stack.of_type("CloudWatch::Alarm")
    return [alarms[one]["AlarmName"].partition(": ")[2] for one in ids if one in alarms]


def test_every_alarm_links_its_heading(stack: Synthesised) -> None:
    for heading, alarm in ours(stack).items():
        assert alarm["AlarmDescription"].endswith(f" docs/runbook.md#{anchor(heading)}")
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": next(iter(stack.of_type("SNS::Topic")))}]


def test_every_heading_says_what_callers_hear_how_to_look_and_what_to_do() -> None:
    for section in re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)[1:]:
        assert re.findall(r"\*\*(.+?)\*\*", section) == ["Callers hear", "Look", "Do"]


def test_every_metric_of_ours_has_a_name_of_the_contracts_or_of_a_filter(stack: Synthesised) -> None:
    filters = {
        one["MetricTransformations"][0]["MetricName"]: one["FilterPattern"]
        for one in stack.of_type("Logs::MetricFilter").values()
    }
    counted = {one["MetricName"] for one in metrics(stack) if one["Namespace"] == NAMESPACE}
    assert counted <= set(Metric) | filters.keys()
    assert filters.keys() <= counted
    for pattern in filters.values():
        (name,) = re.findall(r'\$\.event = "([^"]+)"', pattern)
        assert name in events.VOCABULARY


@pytest.mark.parametrize("part", [Part.WEBHOOK, Part.TRANSFER])
def test_alarms_watch_the_very_metric_that_a_function_publishes(stack: Synthesised, part: Part) -> None:
    stream = io.StringIO()
    EventLog(part, clock=lambda: 0.0, stream=stream).count(Metric.HANDLER_FAILURES)
    published = json.loads(stream.getvalue())
    (metric,) = published["_aws"]["CloudWatchMetrics"]
    ((dimension,),) = metric["Dimensions"]
    assert {
        "Namespace": metric["Namespace"],
        "MetricName": metric["Metrics"][0]["Name"],
        "Dimensions": [{"Name": dimension, "Value": published[dimension]}],
    } in [{key: one.get(key) for key in ("Namespace", "MetricName", "Dimensions")} for one in metrics(stack)]


def test_silence_alarms_only_where_tasks_are_missing(stack: Synthesised) -> None:
    loud = {heading for heading, one in ours(stack).items() if one["TreatMissingData"] == "breaching"}
    assert loud == {"Tasks missing"}


@pytest.mark.parametrize(
    ("heading", "metric", "threshold", "comparison"),
    [
        ("Webhook slow", "Duration", 2000, "GreaterThanThreshold"),
        ("Transfers waiting", "ApproximateAgeOfOldestMessage", 15, "GreaterThanThreshold"),
        ("Last resort used", "Invocations", 0, "GreaterThanThreshold"),
        ("Last resort failing", "ApproximateNumberOfMessagesVisible", 0, "GreaterThanThreshold"),
        ("Tasks nearly full", "ActiveCalls", 24, "GreaterThanThreshold"),
        ("Tasks missing", "HealthyHostCount", 2, "LessThanThreshold"),
    ],
)
def test_alarms_watch_their_numbers(
    stack: Synthesised, heading: str, metric: str, threshold: float, comparison: str
) -> None:
    alarm = ours(stack)[heading]
    assert (alarm["MetricName"], alarm["Threshold"]) == (metric, threshold)
    assert alarm["ComparisonOperator"] == comparison


def test_who_is_told_is_a_setting(stack: Synthesised, with_domain: Synthesised) -> None:
    assert not stack.of_type("SNS::Subscription")
    assert with_domain.one("SNS::Subscription")["Endpoint"] == "operators@example.com"


def test_saved_queries_ask_all_three_parts_for_names_that_exist(stack: Synthesised) -> None:
    saved = stack.of_type("Logs::QueryDefinition").values()
    assert {one["Name"] for one in saved} == {f"patchthrough-prod/{name}" for name in QUERIES}
    assert all(len(one["LogGroupNames"]) == 3 for one in saved)
    for lines in QUERIES.values():
        for name in re.findall(r'"([a-z_]+\.[a-z_]+)"', " ".join(lines)):
            assert name in events.VOCABULARY
