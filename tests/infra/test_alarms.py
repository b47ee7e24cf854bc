from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from containers.media_relay.gauge import line
from contracts import events
from contracts.events import Part
from contracts.metrics import LOGGED, NAMESPACE, SERVICE_DIMENSION, Metric
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


def test_every_alarm_may_publish_to_the_topic_that_it_names(stack: Synthesised) -> None:
    ((topic, _),) = stack.of_type("SNS::Topic").items()
    policy = stack.one("SNS::TopicPolicy")
    assert policy["Topics"] == [{"Ref": topic}]
    (publishes,) = (one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow")
    assert (publishes["Action"], publishes["Resource"]) == ("sns:Publish", {"Ref": topic})
    assert publishes["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert publishes["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_every_heading_says_what_callers_hear_how_to_look_and_what_to_do() -> None:
    for section in re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)[1:]:
        assert re.findall(r"\*\*(.+?)\*\*", section) == ["Callers hear", "Look", "Do"]


def test_every_alarms_metric_of_ours_has_a_name_and_a_part_of_the_contracts(stack: Synthesised) -> None:
    for one in metrics(stack):
        if one["Namespace"] == NAMESPACE:
            assert one["MetricName"] in set(Metric)
            (dimension,) = one["Dimensions"]
            assert dimension["Name"] == SERVICE_DIMENSION
            assert dimension["Value"] in set(Part)


class TestWhatIsCountedFromTheLog:
    def pattern(self, stack: Synthesised, metric: Metric) -> str:
        return str(stack.named("Logs::MetricFilter", f"AlarmsCount{metric}")["FilterPattern"])

    def test_is_what_the_contracts_say_and_nothing_else(self, stack: Synthesised) -> None:
        made = [one["MetricTransformations"][0] for one in stack.of_type("Logs::MetricFilter").values()]
        assert {one["MetricName"] for one in made} == set(LOGGED)
        assert len(made) == len(LOGGED)
        for one in made:
            assert (one["MetricNamespace"], one["MetricValue"]) == (NAMESPACE, "1")
            assert one["Dimensions"] == [{"Key": SERVICE_DIMENSION, "Value": "$.part"}]

    def test_every_filter_asks_for_an_event_of_the_vocabulary_and_for_fields_that_it_has(
        self, stack: Synthesised
    ) -> None:
        for metric, logged in LOGGED.items():
            asked = dict(re.findall(r'\$\.(\w+) !?= "?([^"&) ]+)', self.pattern(stack, metric)))
            assert asked.pop("event") == logged.event.name
            assert asked == {name: str(value) for name, value in {**logged.having, **logged.lacking}.items()}
            assert asked.keys() <= logged.event.fields

    def test_a_deployment_that_delays_protection_is_no_error(self, stack: Synthesised) -> None:
        assert '$.error != "DEPLOYMENT_BLOCKED"' in self.pattern(stack, Metric.PROTECTION_ERRORS)
        assert "!=" not in self.pattern(stack, Metric.EFFECT_FAILURES)


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


def test_alarms_watch_the_very_metrics_that_a_task_measures(stack: Synthesised) -> None:
    measured = (Metric.FIRST_AUDIO_MS, Metric.TURN_LATENCY_MS, Metric.LOOP_LAG_MS)
    published = line(1, {metric: [1] for metric in measured}, draining=False, now=0.0)
    (directive,) = published["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    assert directive["Dimensions"] == [[SERVICE_DIMENSION]]
    names = {one["Name"] for one in directive["Metrics"]}
    assert names == {Metric.ACTIVE_CALLS, *measured}
    assert published[SERVICE_DIMENSION] == Part.RELAY
    for heading, name in {"First words late": "FirstAudioMs", "Event loop lagging": "LoopLagMs"}.items():
        alarm = ours(stack)[heading]
        assert alarm["MetricName"] == name
        assert name in names
        assert alarm["Dimensions"] == [{"Name": SERVICE_DIMENSION, "Value": Part.RELAY}]


def test_lost_streams_alarm_by_their_share_and_not_for_two_of_a_quiet_night(stack: Synthesised) -> None:
    alarm = ours(stack)["Streams lost"]
    assert alarm["Threshold"] == 5
    (share,) = (one["Expression"] for one in alarm["Metrics"] if "Expression" in one)
    assert share == "IF(lost > 2, 100 * lost / offered, 0)"


def test_a_dead_letter_that_fails_again_and_again_is_seen_though_it_is_hidden(stack: Synthesised) -> None:
    alarm = ours(stack)["Last resort failing"]
    counted = {one["MetricStat"]["Metric"]["MetricName"] for one in alarm["Metrics"] if "MetricStat" in one}
    assert counted == {"ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"}
    assert [one["Expression"] for one in alarm["Metrics"] if "Expression" in one] == ["visible + hidden"]
    assert (alarm["Threshold"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (0, 3, 3)


def test_a_message_that_is_hidden_while_a_person_rings_is_no_transfer_that_waits(stack: Synthesised) -> None:
    alarm = ours(stack)["Transfers waiting"]
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, 2)


@pytest.mark.parametrize(
    ("heading", "statistic", "of", "within"),
    [("First words late", "p95", 3, 5), ("Event loop lagging", "p99", 3, 5), ("Webhook slow", "p99", 3, 5)],
)
def test_slowness_alarms_when_it_lasts(stack: Synthesised, heading: str, statistic: str, of: int, within: int) -> None:
    alarm = ours(stack)[heading]
    assert (alarm["ExtendedStatistic"], alarm["Period"]) == (statistic, 60)
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (of, within)


@pytest.mark.parametrize(
    ("heading", "metric", "threshold", "comparison"),
    [
        ("Webhook slow", "Duration", 2000, "GreaterThanThreshold"),
        ("Transfers waiting", "ApproximateNumberOfMessagesVisible", 0, "GreaterThanThreshold"),
        ("Last resort used", "Invocations", 0, "GreaterThanThreshold"),
        ("Tasks nearly full", "ActiveCalls", 24, "GreaterThanThreshold"),
        ("Tasks missing", "RunningTaskCount", 2, "LessThanThreshold"),
        ("Tasks unhealthy", "UnHealthyHostCount", 0, "GreaterThanThreshold"),
        ("Tasks unprotected", "ProtectionErrors", 0, "GreaterThanThreshold"),
        ("Event loop lagging", "LoopLagMs", 50, "GreaterThanThreshold"),
        ("Sockets unanswered", "HTTPCode_ELB_5XX_Count", 0, "GreaterThanThreshold"),
        ("Calls turned away", "CallsRejected", 0, "GreaterThanThreshold"),
        ("First words late", "FirstAudioMs", 1500, "GreaterThanThreshold"),
        ("Messages failing", "MessagesFailed", 2, "GreaterThanThreshold"),
        ("Messages not delivered", "ApproximateNumberOfMessagesVisible", 0, "GreaterThanThreshold"),
        ("Webhook failing", "Errors", 0, "GreaterThanThreshold"),
        ("Webhook unreachable", "5xx", 0, "GreaterThanThreshold"),
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


def test_saved_queries_ask_all_parts_for_names_that_exist(stack: Synthesised) -> None:
    saved = stack.of_type("Logs::QueryDefinition").values()
    assert {one["Name"] for one in saved} == {f"patchthrough-prod/{name}" for name in QUERIES}
    assert all(len(one["LogGroupNames"]) == 4 for one in saved)
    for lines in QUERIES.values():
        for name in re.findall(r'"([a-z_]+\.[a-z_]+)"', " ".join(lines)):
            assert name in events.VOCABULARY


def test_the_dashboard_shows_every_metric_that_is_published_but_for_those_of_an_alarm(stack: Synthesised) -> None:
    body = json.dumps(stack.one("CloudWatch::Dashboard")["DashboardBody"])
    shown = {metric for metric in Metric if f'\\"{metric}\\"' in body}
    alarmed = {one["MetricName"] for one in metrics(stack)}
    assert set(Metric) - shown - alarmed == {Metric.TRANSFERS_DUPLICATE}  # a second copy of a message, as SQS may send
    assert {Metric.FIRST_AUDIO_MS, Metric.LOOP_LAG_MS, Metric.CALLS_REJECTED, Metric.TRANSFERS_REQUESTED} <= shown
