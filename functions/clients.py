"""AWS clients with limits that fit inside a telephone call: one repetition, seconds and not minutes."""

from __future__ import annotations

import logging
from typing import Any

PATIENCE = 2.0
CALLER_WAITS = 1.0
"""Seconds for an answer of the ledger while a caller hears nothing; after two of them the default person is rung."""


def aws(service: str, seconds: float = PATIENCE) -> Any:
    """A low-level boto3 client; it reads `AWS_ENDPOINT_URL` and the region by itself.

    Args:
        service: its name to boto3.
        seconds: for an answer; without one the request is sent once more.
    """
    import boto3  # noqa: PLC0415 - half of a cold start, and not needed where clients are given
    from botocore.config import Config  # noqa: PLC0415

    logging.getLogger("botocore").setLevel(logging.WARNING)  # at DEBUG it writes answers whole, with what is secret
    make: Any = boto3.client
    # {}: straight on, whatever the environment says.
    limits = Config(connect_timeout=1, read_timeout=seconds, retries={"total_max_attempts": 2}, proxies={})
    return make(service, config=limits)
