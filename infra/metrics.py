"""The metrics that our parts publish, as CloudWatch knows them; names and dimension are those of `contracts`."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs

from contracts.events import Part
from contracts.metrics import LOGGED, NAMESPACE, SERVICE_DIMENSION, Metric


def count(metric: Metric, part: Part) -> cloudwatch.Metric:
    """How often a part counted `metric`, a minute."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=metric.value,
        dimensions_map={SERVICE_DIMENSION: part.value},
        statistic="Sum",
        period=Duration.minutes(1),
    )


def live_calls() -> cloudwatch.Metric:
    """Live calls per accepting task: each task's gauge, averaged. Draining tasks publish another name."""
    return count(Metric.ACTIVE_CALLS, Part.RELAY).with_(statistic="Average")


def measured(metric: Metric, statistic: str) -> cloudwatch.Metric:
    """What the relay measures, in milliseconds: the statistic of a minute's values (`p95`, `Maximum`)."""
    return count(metric, Part.RELAY).with_(statistic=statistic)


def running_tasks(service: ecs.FargateService) -> cloudwatch.Metric:
    """Tasks that run, healthy or not, by the cluster's container insights.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html
    """
    return cloudwatch.Metric(
        namespace="ECS/ContainerInsights",
        metric_name="RunningTaskCount",
        dimensions_map={"ClusterName": service.cluster.cluster_name, "ServiceName": service.service_name},
        statistic="Minimum",
        period=Duration.minutes(1),
    )


def lines_of(metric: Metric) -> logs.IFilterPattern:
    """The lines of the relay's log that `metric` counts, as CloudWatch is told."""
    logged = LOGGED[metric]
    conditions = [logs.FilterPattern.string_value("$.event", "=", logged.event.name)]
    for name, value in logged.having.items():
        if isinstance(value, int):
            conditions.append(logs.FilterPattern.number_value(f"$.{name}", "=", value))
        else:
            conditions.append(logs.FilterPattern.string_value(f"$.{name}", "=", value))
    for name, value in logged.lacking.items():
        conditions.append(logs.FilterPattern.string_value(f"$.{name}", "!=", value))
    return logs.FilterPattern.all(*conditions)
