"""Metric names."""

from __future__ import annotations

import re

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from contracts.metrics import NAMESPACE, SERVICE_DIMENSION, Metric


def test_every_metric_is_named_as_cloudwatch_names_its_own_and_once() -> None:
    names = [metric.value for metric in Metric]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", name) for name in [*names, NAMESPACE])


def test_the_dimension_is_the_one_that_powertools_writes() -> None:
    metrics = Metrics(namespace=NAMESPACE, service="patchthrough-test")
    metrics.add_metric(name=Metric.CALLS_RECEIVED, unit=MetricUnit.Count, value=1)
    assert metrics.serialize_metric_set()["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[SERVICE_DIMENSION]]
