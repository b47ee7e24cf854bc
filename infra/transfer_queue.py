"""The way of a transfer request: a queue, the function that dials, and behind the dead letters the last resort."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.python_function import PythonFunction
from infra.settings import Timing

CONCURRENT_TRANSFERS = 10
CONCURRENT_LAST_RESORTS = 2


class TransferQueue(Construct):
    """Both queues and both functions. One message an invocation: a slow one delays no other."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        code: lambda_.Code,
        environment: Mapping[str, str],
        timing: Timing,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        self.dead_letters = self._queue("DeadLetters", timing, retention=Duration.days(14))
        self.queue = self._queue(
            "Queue",
            timing,
            retention=Duration.seconds(timing.retention),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=timing.receives),
        )
        environment = {**environment, "TRANSFER_QUEUE_URL": self.queue.queue_url}

        def function(id_: str, entry: str) -> PythonFunction:
            return PythonFunction(
                self,
                id_,
                code=code,
                handler=f"functions.transfer.handler.{entry}",
                timeout=timing.transfer,
                environment=environment,
                log_group=log_group,
            )

        self.transfer = function("Transfer", "handler")
        self.last_resort = function("LastResort", "last_resort")

    def connect(self) -> None:
        """Let both queues call their functions: to be said after the functions may receive from them."""
        for function, queue, concurrency in (
            (self.transfer, self.queue, CONCURRENT_TRANSFERS),
            (self.last_resort, self.dead_letters, CONCURRENT_LAST_RESORTS),
        ):
            function.function.add_event_source_mapping(
                "Messages",
                event_source_arn=queue.queue_arn,
                batch_size=1,
                max_concurrency=concurrency,
                report_batch_item_failures=True,
            )

    def _queue(
        self, id_: str, timing: Timing, *, retention: Duration, dead_letter_queue: sqs.DeadLetterQueue | None = None
    ) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            visibility_timeout=Duration.seconds(timing.visibility),
            retention_period=retention,
            dead_letter_queue=dead_letter_queue,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
