"""What a Lambda handler gets as its second argument."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Handler = Callable[[dict[str, Any], Any], Any]
"""A Lambda handler: `handler(event, context)`."""

ACCOUNT_ID = "123456789012"


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaContext:
    """The context object of the Python runtime, with the fields that handlers and Powertools read.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    function_name: str
    deadline: float
    region: str = "us-east-1"
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "512"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    clock: Callable[[], float] = time.monotonic

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{ACCOUNT_ID}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        return "local"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function would be killed; never negative."""
        return max(0, int((self.deadline - self.clock()) * 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A handler with what its deployment gives it: a name and a time limit in seconds.

    A handler that overruns cannot be killed here as Lambda would: it is a thread. Whoever invokes it stops waiting.
    """

    name: str
    handler: Handler
    timeout: float = 10.0
    region: str = "us-east-1"

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """Run the handler in the calling thread; whatever it raises passes through."""
        deadline = time.monotonic() + self.timeout
        return self.handler(dict(event), LambdaContext(function_name=self.name, deadline=deadline, region=self.region))
