"""AWS clients with limits that fit inside a telephone call: one repetition, seconds and not minutes."""

from __future__ import annotations

import logging
from typing import Any


def aws(service: str) -> Any:
    """A low-level boto3 client; it reads `AWS_ENDPOINT_URL` and the region by itself."""
    import boto3  # noqa: PLC0415 - half of a cold start, and not needed where clients are given
    from botocore.config import Config  # noqa: PLC0415

    logging.getLogger("botocore").setLevel(logging.WARNING)  # at DEBUG it writes answers whole, with what is secret
    make: Any = boto3.client
    limits = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2}, proxies={})  # {}: go directly
    return make(service, config=limits)
