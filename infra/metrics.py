"""The metrics that our parts publish, as CloudWatch knows them; names and dimension are those of `contracts`."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from contracts.events import Part
from contracts.metrics import NAMESPACE, SERVICE_DIMENSION, Metric


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


def logged(name: str) -> cloudwatch.Metric:
    """How often the relay logged something, a minute: counted from its log by a metric filter of that name."""
    return cloudwatch.Metric(namespace=NAMESPACE, metric_name=name, statistic="Sum", period=Duration.minutes(1))
