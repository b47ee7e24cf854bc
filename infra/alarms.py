"""When somebody is told, and where it says what to do: every alarm is named after its heading in `docs/runbook.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contracts.events import Part
from contracts.metrics import LOGGED, NAMESPACE, SERVICE_DIMENSION, Metric
from infra import metrics
from infra.media_edge import MediaEdge
from infra.messages import Messages
from infra.relay_service import RelayService
from infra.settings import Settings
from infra.transfer_queue import TransferQueue
from infra.webhook_api import WebhookApi

PROOF = (
    *("Configuration refused", "Model failing", "Streams lost"),
    *("Questions answered by rote", "Transfers failing"),
)
"""The alarms that a bad agent file rings: while one is being proved, AppConfig goes back if any of them does."""

_MINUTE = Duration.minutes(1)
_AT_MOST = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_AT_LEAST = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """An alarm: `metric` is beyond `limit` (more; or less, if `at_least`) in `of` of `within` minutes.

    `silence_is_bad`: a metric that is not published at all is an alarm too.
    """

    metric: cloudwatch.IMetric
    limit: float
    of: int = 1
    within: int = 1
    at_least: bool = False
    silence_is_bad: bool = False


def anchor(heading: str) -> str:
    """The address of a heading within its page, as code hosts make it."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


class Alarms(Construct):
    """Every alarm, and the topic that tells of them. `all` is in the run book's order, `proof` are those of PROOF."""

    def __init__(  # noqa: PLR0913 - every part that is watched, by name
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        webhook: WebhookApi,
        transfers: TransferQueue,
        relay: RelayService,
        edge: MediaEdge,
        messages: Messages,
        relay_log: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        for metric in LOGGED:
            _count(self, metric, relay_log)
        self.topic = _topic(self, settings)
        if settings.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        watches = {
            **dict(_webhook(webhook)),
            **dict(_transfers(transfers)),
            **dict(_messages(messages)),
            **dict(_tasks(relay, edge, settings)),
            **dict(_calls()),
        }
        made = {heading: self._alarm(heading, watch, settings) for heading, watch in watches.items()}
        self.all = [*made.values()]
        self.proof = [made[heading] for heading in PROOF]

    def _alarm(self, heading: str, watch: Watch, settings: Settings) -> cloudwatch.Alarm:
        missing = cloudwatch.TreatMissingData
        alarm = cloudwatch.Alarm(
            self,
            heading.title().replace(" ", ""),
            alarm_name=f"{settings.stack_name}: {heading}",
            alarm_description=f"{heading}. What callers hear and what to do: {settings.runbook_url}#{anchor(heading)}",
            metric=watch.metric,
            threshold=watch.limit,
            comparison_operator=_AT_LEAST if watch.at_least else _AT_MOST,
            evaluation_periods=watch.within,
            datapoints_to_alarm=watch.of,
            treat_missing_data=missing.BREACHING if watch.silence_is_bad else missing.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        return alarm


def _topic(scope: Construct, settings: Settings) -> sns.Topic:
    """A topic that alarms may publish to: a policy of its own, as TLS takes one, replaces the default that lets them.

    https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger
    """
    topic = sns.Topic(scope, "Topic", display_name=settings.stack_name, enforce_ssl=True)
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            actions=["sns:Publish"],
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            resources=[topic.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}},
        )
    )
    return topic


def _webhook(webhook: WebhookApi) -> Iterator[tuple[str, Watch]]:
    function = webhook.answers.live
    server_errors = webhook.api.metric_server_error(statistic="Sum", period=_MINUTE)
    yield "Webhook unreachable", Watch(metric=server_errors, limit=0)
    yield "Webhook failing", Watch(metric=function.metric_errors(statistic="Sum", period=_MINUTE), limit=0)
    yield "Webhook throttled", Watch(metric=function.metric_throttles(statistic="Sum", period=_MINUTE), limit=0)
    yield (
        "Webhook slow",
        Watch(metric=function.metric_duration(statistic="p99", period=_MINUTE), limit=2000, of=3, within=5),
    )
    yield "Questions answered by rote", Watch(metric=metrics.count(Metric.HANDLER_FAILURES, Part.WEBHOOK), limit=0)
    yield "Ledger failing", Watch(metric=metrics.count(Metric.LEDGER_FAILURES, Part.WEBHOOK), limit=0)
    yield "Requests refused", Watch(metric=_five(metrics.count(Metric.REQUESTS_REFUSED, Part.WEBHOOK)), limit=4)
    yield (
        "Default person dialled",
        Watch(metric=_five(metrics.count(Metric.DEFAULT_PERSON_DIALLED, Part.WEBHOOK)), limit=2),
    )


def _transfers(transfers: TransferQueue) -> Iterator[tuple[str, Watch]]:
    dial, last = transfers.transfer.function, transfers.last_resort.function
    # Not their age: a message that watches over a person's ringing is hidden, and old, as long as that takes.
    waiting = transfers.queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=_MINUTE)
    yield "Transfers waiting", Watch(metric=waiting, limit=0, of=2, within=2)
    yield "Transfers failing", Watch(metric=metrics.count(Metric.TRANSFERS_FAILED, Part.TRANSFER), limit=0)
    yield "Transfers interrupted", Watch(metric=metrics.count(Metric.HANDLER_FAILURES, Part.TRANSFER), limit=0)
    yield "Transfer function failing", Watch(metric=dial.metric_errors(statistic="Sum", period=_MINUTE), limit=0)
    yield "Messages malformed", Watch(metric=metrics.count(Metric.TRANSFERS_MALFORMED, Part.TRANSFER), limit=0)
    yield "Last resort used", Watch(metric=last.metric_invocations(statistic="Sum", period=_MINUTE), limit=0)
    yield "Last resort failing", Watch(metric=_undone(transfers.dead_letters), limit=0, of=3, within=3)


def _undone(queue: sqs.Queue) -> cloudwatch.MathExpression:
    """Messages that are still there: what fails again and again is hidden nearly all the time."""
    counts = (
        queue.metric_approximate_number_of_messages_visible,
        queue.metric_approximate_number_of_messages_not_visible,
    )
    visible, hidden = (count(statistic="Maximum", period=_MINUTE) for count in counts)
    return cloudwatch.MathExpression(
        expression="visible + hidden",
        using_metrics={"visible": visible, "hidden": hidden},
        label="Messages not done",
        period=_MINUTE,
    )


def _messages(messages: Messages) -> Iterator[tuple[str, Watch]]:
    dead = messages.dead_letters.metric_approximate_number_of_messages_visible(statistic="Maximum", period=_MINUTE)
    yield "Messages failing", Watch(metric=_five(metrics.count(Metric.MESSAGES_FAILED, Part.MESSAGES)), limit=2)
    yield (
        "Message function failing",
        Watch(metric=messages.deliver.function.metric_errors(statistic="Sum", period=_MINUTE), limit=0),
    )
    yield "Messages not delivered", Watch(metric=dead, limit=0)


def _tasks(relay: RelayService, edge: MediaEdge, settings: Settings) -> Iterator[tuple[str, Watch]]:
    tasks = settings.relay
    running = metrics.running_tasks(relay.service)
    yield (
        "Tasks missing",
        Watch(metric=running, limit=tasks.min_tasks, of=3, within=3, at_least=True, silence_is_bad=True),
    )
    unhealthy = relay.target_group.metrics.unhealthy_host_count(statistic="Maximum", period=_MINUTE)
    yield "Tasks unhealthy", Watch(metric=unhealthy, limit=0, of=3, within=5)
    yield "Tasks nearly full", Watch(metric=metrics.live_calls(), limit=tasks.calls_per_task * 0.8, of=2, within=2)
    yield "Tasks unprotected", Watch(metric=_relay(Metric.PROTECTION_ERRORS), limit=0)
    lag = metrics.measured(Metric.LOOP_LAG_MS, "p99")
    yield "Event loop lagging", Watch(metric=lag, limit=50, of=3, within=5)
    # Those that a task answers with 5xx are the calls turned away.
    unanswered = edge.load_balancer.metrics.http_code_elb(
        elb.HttpCodeElb.ELB_5XX_COUNT, statistic="Sum", period=_MINUTE
    )
    yield "Sockets unanswered", Watch(metric=unanswered, limit=0)


def _calls() -> Iterator[tuple[str, Watch]]:
    yield "Calls turned away", Watch(metric=_relay(Metric.CALLS_REJECTED), limit=0)
    first = metrics.measured(Metric.FIRST_AUDIO_MS, "p95")
    yield "First words late", Watch(metric=first, limit=1500, of=3, within=5)
    lost, offered = (_five(metrics.count(one, Part.WEBHOOK)) for one in (Metric.STREAMS_LOST, Metric.STREAMS_OFFERED))
    percent = cloudwatch.MathExpression(
        # Two lost calls of a quiet night are no share of anything.
        expression="IF(lost > 2, 100 * lost / offered, 0)",
        using_metrics={"lost": lost, "offered": offered},
        label="Streams lost, percent",
        period=Duration.minutes(5),
    )
    yield "Streams lost", Watch(metric=percent, limit=5)
    yield "Calls swept", Watch(metric=_relay(Metric.CALLS_SWEPT), limit=0)
    yield "Model failing", Watch(metric=_five(_relay(Metric.MODEL_FAILURES)), limit=2)
    yield "Calls diverted", Watch(metric=metrics.count(Metric.CALLS_DIVERTED, Part.WEBHOOK), limit=0)
    yield "Hand-offs not queued", Watch(metric=_relay(Metric.HANDOFF_FAILURES), limit=0)
    yield "Effects failing", Watch(metric=_five(_relay(Metric.EFFECT_FAILURES)), limit=2)
    # The relay checks the whole file; the functions refuse nothing that it takes.
    yield "Configuration refused", Watch(metric=_relay(Metric.CONFIGS_REFUSED), limit=0)


def _relay(metric: Metric) -> cloudwatch.Metric:
    return metrics.count(metric, Part.RELAY)


def _count(scope: Construct, metric: Metric, log: logs.ILogGroup) -> None:
    """Have CloudWatch count the lines of a log, under the same dimension as everything else."""
    logs.MetricFilter(
        scope,
        f"Count{metric.value}",
        log_group=log,
        filter_pattern=metrics.lines_of(metric),
        metric_namespace=NAMESPACE,
        metric_name=metric.value,
        metric_value="1",
        dimensions={SERVICE_DIMENSION: "$.part"},
    )


def _five(metric: cloudwatch.Metric) -> cloudwatch.Metric:
    return metric.with_(period=Duration.minutes(5))
