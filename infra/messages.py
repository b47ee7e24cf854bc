"""The way of a message that a caller left: a queue, the function that delivers it, and dead letters that ring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contracts.destination import Channel, Delivery
from infra.python_function import PythonFunction
from infra.settings import Settings

CONCURRENT_DELIVERIES = 2
TIMEOUT_SECONDS = 30
"""The function's limit: 5 seconds for the receiver, the rest for our own neighbours."""
RECEIVES = 15
"""With the pauses of `functions.messages.handler` about seven hours, then the message rests among the dead letters."""


class Messages(Construct):
    """`queue` takes the webhook's messages; `secret` signs what is posted, and only AWS has ever seen it."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        code: lambda_.Code,
        environment: Mapping[str, str],
        settings: Settings,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self.dead_letters = self._queue("DeadLetters")
        self.queue = self._queue("Queue", sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=RECEIVES))
        name = f"patchthrough/{settings.stage}/message-webhook"
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            secret_name=name,
            description="What signs the messages that are posted; whoever receives them checks with it",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template="{}",  # noqa: S106 - the value is made by AWS
                generate_string_key="current",
                password_length=48,
                exclude_punctuation=True,
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.deliver = PythonFunction(
            self,
            "Deliver",
            code=code,
            handler="functions.messages.handler.handler",
            timeout=TIMEOUT_SECONDS,
            environment={
                **environment,
                "MESSAGE_QUEUE_URL": self.queue.queue_url,
                "MESSAGE_WEBHOOK_SECRET": name,
            },
            log_group=log_group,
        )

    def grants(self) -> Iterator[tuple[str, str]]:
        """(action, resource) of what delivering takes, as the deployed agent file says where messages go."""
        yield "secretsmanager:GetSecretValue", self.secret.secret_arn
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"):
            yield f"sqs:{action}", self.queue.queue_arn
        for delivery in self._settings.agent.directory.deliveries:
            yield from self._channel(delivery)

    @property
    def address(self) -> str:
        """What the stack may send as or to, separated by commas; "" if nothing takes a permission."""
        permissions = {one.permission for one in self._settings.agent.directory.deliveries} - {""}
        return ",".join(sorted(permissions))

    def connect(self) -> None:
        """Let the queue call the function: to be said after the function may receive from it."""
        self.deliver.function.add_event_source_mapping(
            "Messages",
            event_source_arn=self.queue.queue_arn,
            batch_size=1,
            max_concurrency=CONCURRENT_DELIVERIES,
            report_batch_item_failures=True,
        )

    def _channel(self, delivery: Delivery) -> Iterator[tuple[str, str]]:
        if delivery.channel is Channel.TOPIC:
            yield "sns:Publish", delivery.address
        elif delivery.channel is Channel.EMAIL:
            # SES asks about the sender only, and lets an identity be the address or its domain.
            for identity in (delivery.permission, delivery.permission.rpartition("@")[2]):
                yield (
                    "ses:SendEmail",
                    Stack.of(self).format_arn(
                        service="ses",
                        resource="identity",
                        resource_name=identity,
                        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
                    ),
                )

    def _queue(self, id_: str, dead_letter_queue: sqs.DeadLetterQueue | None = None) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            visibility_timeout=Duration.seconds(6 * TIMEOUT_SECONDS),
            retention_period=Duration.days(14),
            dead_letter_queue=dead_letter_queue,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
