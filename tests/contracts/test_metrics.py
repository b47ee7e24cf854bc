"""Metric names."""

from __future__ import annotations

import re

from contracts.metrics import NAMESPACE, SERVICE_DIMENSION, Metric


def test_every_metric_is_named_as_cloudwatch_names_its_own_and_once() -> None:
    names = [metric.value for metric in Metric]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", name) for name in [*names, NAMESPACE, SERVICE_DIMENSION])
