"""What an operator looks at: one dashboard, and the saved log queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from contracts import events
from contracts.events import Part
from contracts.metrics import Metric
from infra import metrics
from infra.alarms import Alarms
from infra.relay_service import RelayService
from infra.settings import Settings
from infra.transfer_queue import TransferQueue
from infra.webhook_api import WebhookApi

_CALL_SID = "CA00000000000000000000000000000000"  # to be replaced by whoever asks
_FAILED = (
    f'filter event in ["{events.TRANSFER_REFUSED}", "{events.HANDOFF_FAILED}", "{events.TRANSFER_MALFORMED}"]'
    f' or (event = "{events.TRANSFER_OVER}" and outcome != "bridged")'
)
QUERIES: Mapping[str, Sequence[str]] = {
    "One call by its SID": (
        "fields @timestamp, part, event, @message",
        f'filter call_sid = "{_CALL_SID}"',
        "sort @timestamp asc",
    ),
    "Failed transfers": (
        "fields @timestamp, call_sid, destination, outcome, why, status, code",
        _FAILED,
        "sort @timestamp desc",
    ),
    # The first response's first audio, after the stream's start; a call without any comes first.
    "Slowest first words": (
        f'filter event in ["{events.STREAM_STARTED}", "{events.RESPONSE_AUDIO}"]',
        f'fields strcontains(event, "{events.STREAM_STARTED}") as is_start',
        "fields toMillis(@timestamp) * is_start as started",
        "fields toMillis(@timestamp) + 1000000000000 * is_start as spoke",
        "stats min(spoke) - max(started) as first_words_ms by call_sid",
        "sort first_words_ms desc",
        "limit 50",
    ),
}
_Graph = tuple[str, Sequence[cloudwatch.IMetric]]


class Dashboard(Construct):
    """Calls, transfers, what went wrong, and every alarm's state; the queries are saved under the stack's name."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        webhook: WebhookApi,
        transfers: TransferQueue,
        relay: RelayService,
        alarms: Alarms,
        log_groups: Sequence[logs.ILogGroup],
    ) -> None:
        super().__init__(scope, id_)
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=settings.stack_name)
        self.dashboard.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms.all, width=24))
        for graphs in (_tasks(relay), _calls(), _ears(), _transfers(transfers), _neighbours(webhook)):
            self.dashboard.add_widgets(
                *(
                    cloudwatch.GraphWidget(title=title, left=list(shown), width=24 // len(graphs))
                    for title, shown in graphs
                )
            )
        for name, lines in QUERIES.items():
            logs.CfnQueryDefinition(
                self,
                name.title().replace(" ", ""),
                name=f"{settings.stack_name}/{name}",
                query_string="\n| ".join(lines),
                log_group_names=[group.log_group_name for group in log_groups],
            )


def _tasks(relay: RelayService) -> Sequence[_Graph]:
    draining = metrics.measured(Metric.DRAINING_CALLS, "Sum")
    return (
        ("Live calls per task; calls of draining tasks", [metrics.live_calls(), draining]),
        ("Tasks that run", [metrics.running_tasks(relay.service)]),
        ("Event loop's worst lag: milliseconds", [metrics.measured(Metric.LOOP_LAG_MS, "Maximum")]),
    )


def _calls() -> Sequence[_Graph]:
    return (
        ("Calls", [*_counts(Part.WEBHOOK, Metric.CALLS_RECEIVED), *_counts(Part.RELAY, Metric.CALLS_STARTED)]),
        (
            "Turned away, lost, put through without the agent",
            [
                *_counts(Part.RELAY, Metric.CALLS_REJECTED, Metric.MODEL_FAILURES, Metric.BREAKER_OPENINGS),
                *_counts(Part.WEBHOOK, Metric.STREAMS_LOST, Metric.CALLS_DIVERTED, Metric.DEFAULT_PERSON_DIALLED),
            ],
        ),
    )


def _ears() -> Sequence[_Graph]:
    """What callers notice."""
    return (
        ("First words: milliseconds", [metrics.measured(Metric.FIRST_AUDIO_MS, of) for of in ("p50", "p95")]),
        ("Turns: milliseconds", [metrics.measured(Metric.TURN_LATENCY_MS, of) for of in ("p50", "p95")]),
        ("Barge-ins", _counts(Part.RELAY, Metric.BARGE_INS)),
    )


def _transfers(transfers: TransferQueue) -> Sequence[_Graph]:
    dialled = (Metric.TRANSFERS_DIALLED, Metric.CALLER_GONE, Metric.TRANSFERS_FAILED, Metric.TRANSFERS_AMBIGUOUS)
    ended = (Metric.TRANSFERS_BRIDGED, Metric.TRANSFERS_UNANSWERED, Metric.TRANSFERS_DECLINED)
    refused = [metrics.count(Metric.TRANSFERS_REFUSED, part) for part in (Part.TRANSFER, Part.WEBHOOK)]
    waited = metrics.count(Metric.TIME_TO_PERSON_MS, Part.WEBHOOK)
    asked = _counts(Part.RELAY, Metric.TRANSFERS_REQUESTED)
    return (
        ("Transfers", [*asked, *_counts(Part.TRANSFER, *dialled), *_counts(Part.WEBHOOK, *ended), *refused]),
        ("Asked until a person speaks: milliseconds", [waited.with_(statistic=of) for of in ("p50", "p95")]),
        (
            "Queue: age of the oldest message, messages that nobody has taken, dead letters",
            [
                transfers.queue.metric_approximate_age_of_oldest_message(),
                transfers.queue.metric_approximate_number_of_messages_visible(),
                transfers.dead_letters.metric_approximate_number_of_messages_visible(),
            ],
        ),
        (
            "Messages",
            [
                *_counts(Part.WEBHOOK, Metric.MESSAGES_TAKEN),
                *_counts(Part.MESSAGES, Metric.MESSAGES_DELIVERED, Metric.MESSAGES_FAILED),
            ],
        ),
    )


def _neighbours(webhook: WebhookApi) -> Sequence[_Graph]:
    function = webhook.answers.live
    failing = (Metric.HANDOFF_FAILURES, Metric.EFFECT_FAILURES, Metric.PROTECTION_ERRORS)
    return (
        (
            "Webhook: milliseconds",
            [function.metric_duration(statistic="p50"), function.metric_duration(statistic="p99")],
        ),
        ("Failures", [*_counts(Part.WEBHOOK, Metric.LEDGER_FAILURES), *_counts(Part.RELAY, *failing)]),
    )


def _counts(part: Part, *named: Metric) -> Sequence[cloudwatch.IMetric]:
    return [metrics.count(metric, part) for metric in named]
