"""Every part, and on the same page everything that one part may do to another."""

from __future__ import annotations

from typing import Any

from aws_cdk import ArnFormat, CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra import assets
from infra.alarms import Alarms
from infra.dashboard import Dashboard
from infra.ledger import Ledger
from infra.live_config import LiveConfig
from infra.media_edge import MediaEdge
from infra.messages import Messages
from infra.network import Network
from infra.python_function import code
from infra.relay_service import RelayService
from infra.settings import Settings
from infra.transfer_queue import TransferQueue
from infra.webhook_api import WebhookApi

_RETENTION = {
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


class Patchthrough(Stack):
    """One stage. Nothing in it outlives it, and no secret is in it: secrets and the account SID are named, not held."""

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, bundles: assets.Bundles, **stack: Any
    ) -> None:
        super().__init__(scope, id_, stack_name=settings.stack_name, analytics_reporting=False, **stack)
        self._settings = settings
        self._logs = {
            part: self._log_group(part) for part in ("webhook", "webhook-access", "transfer", "messages", "relay")
        }
        self.network = Network(self, "Network")
        self.ledger = Ledger(self, "Ledger")
        self.edge = MediaEdge(self, "Edge", network=self.network, settings=settings)
        self.live_config = LiveConfig(self, "LiveConfig", settings=settings)
        kept = {"LEDGER_TABLE": self.ledger.table.table_name, "LIVE_CONFIG": self.live_config.name}
        shared = {
            **kept,
            "TWILIO_ACCOUNT_SID": ssm.StringParameter.value_for_string_parameter(self, settings.account_sid_parameter),
        }
        signed = {"PUBLIC_MEDIA_ORIGIN": self.edge.origin, "TWILIO_AUTH_TOKEN_SECRET": settings.auth_token_secret}
        self.messages = Messages(
            self,
            "Messages",
            code=code(bundles.build(assets.TRANSFER)),
            environment=kept,
            settings=settings,
            log_group=self._logs["messages"],
        )
        self.webhook = WebhookApi(
            self,
            "Webhook",
            code=code(bundles.build(assets.WEBHOOK)),
            environment={**shared, **signed, "MESSAGE_QUEUE_URL": self.messages.queue.queue_url},
            timing=settings.timing,
            log_group=self._logs["webhook"],
            access_log_group=self._logs["webhook-access"],
        )
        self.transfers = TransferQueue(
            self,
            "Transfers",
            code=code(bundles.build(assets.TRANSFER)),
            environment={
                **shared,
                "PUBLIC_WEBHOOK_ORIGIN": self.webhook.origin,
                "TWILIO_REST_SECRET": settings.rest_secret,
            },
            timing=settings.timing,
            log_group=self._logs["transfer"],
        )
        self.webhook.answers.function.add_environment("TRANSFER_QUEUE_URL", self.transfers.queue.queue_url)
        self.relay = RelayService(
            self,
            "Relay",
            root=bundles.root,
            network=self.network,
            edge=self.edge,
            environment={
                **shared,
                **signed,
                "OPENAI_API_KEY_SECRET": settings.openai_secret,
                "TRANSFER_QUEUE_URL": self.transfers.queue.queue_url,
            },
            settings=settings,
            log_group=self._logs["relay"],
        )
        self._grant()
        self.transfers.connect()
        self.messages.connect()
        self._observe()
        self._tell()

    # ---- who may do what -----------------------------------------------------------------------------------------

    def _grant(self) -> None:
        """Everything our own roles may do, besides writing to their log (and pulling their image)."""
        settings, transfers = self._settings, self.transfers
        webhook, relay = self.webhook.answers.role, self.relay.role
        dialling = {transfers.transfer.role: transfers.queue, transfers.last_resort.role: transfers.dead_letters}
        ledger = self.ledger.table.table_arn
        deliver = self.messages.deliver.role
        _allow(webhook, ledger, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
        _allow(webhook, self._secret(settings.auth_token_secret), "secretsmanager:GetSecretValue")
        # A person has accepted, a leg has ended, a caller is gone: the webhook hears it, the transfer function acts.
        _allow(webhook, transfers.queue.queue_arn, "sqs:SendMessage")
        _allow(webhook, self.messages.queue.queue_arn, "sqs:SendMessage")

        _allow(deliver, ledger, "dynamodb:GetItem", "dynamodb:UpdateItem")
        for action, resource in self.messages.grants():
            _allow(deliver, resource, action)

        _allow(relay, ledger, "dynamodb:GetItem", "dynamodb:UpdateItem")
        _allow(relay, self._secret(settings.auth_token_secret), "secretsmanager:GetSecretValue")
        _allow(relay, self._secret(settings.openai_secret), "secretsmanager:GetSecretValue")
        _allow(relay, transfers.queue.queue_arn, "sqs:SendMessage")
        _allow(relay, self._tasks(self.relay.cluster), "ecs:GetTaskProtection", "ecs:UpdateTaskProtection")

        for role, queue in dialling.items():
            _allow(role, ledger, "dynamodb:GetItem", "dynamodb:UpdateItem")
            _allow(role, self._secret(settings.rest_secret), "secretsmanager:GetSecretValue")
            receive = (
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
            )
            _allow(role, queue.queue_arn, *receive)

    def _secret(self, name: str) -> str:
        """The ARN of a secret known by name; Secrets Manager adds six characters of its own.

        https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html
        """
        return self.format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{name}-??????",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _tasks(self, cluster: ecs.Cluster) -> str:
        return self.format_arn(service="ecs", resource="task", resource_name=f"{cluster.cluster_name}/*")

    # ---- what an operator sees -----------------------------------------------------------------------------------

    def _observe(self) -> None:
        self.alarms = Alarms(
            self,
            "Alarms",
            settings=self._settings,
            webhook=self.webhook,
            transfers=self.transfers,
            relay=self.relay,
            edge=self.edge,
            messages=self.messages,
            relay_log=self._logs["relay"],
        )
        transfers = self.transfers
        readers = (
            *(self.webhook.answers.role, transfers.transfer.role, transfers.last_resort.role),
            *(self.messages.deliver.role, self.relay.role),
        )
        self.live_config.watch(self.alarms.proof, readers)
        Dashboard(
            self,
            "Operations",
            settings=self._settings,
            webhook=self.webhook,
            transfers=self.transfers,
            relay=self.relay,
            alarms=self.alarms,
            log_groups=[self._logs[part] for part in ("webhook", "transfer", "messages", "relay")],
        )

    def _log_group(self, part: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            f"{part.title().replace('-', '')}Logs",
            log_group_name=f"/patchthrough/{self._settings.stage}/{part}",
            retention=_RETENTION[self._settings.log_days],
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _tell(self) -> None:
        for name, value in {
            "VoiceWebhookUrl": f"{self.webhook.origin}/voice/incoming",
            "CallStatusUrl": f"{self.webhook.origin}/voice/call-status",
            "PublicWebhookOrigin": self.webhook.origin,
            "PublicMediaOrigin": self.edge.origin,
            "LedgerTable": self.ledger.table.table_name,
            "TransferQueueUrl": self.transfers.queue.queue_url,
            "DeadLetterQueueUrl": self.transfers.dead_letters.queue_url,
            "ClusterName": self.relay.cluster.cluster_name,
            "ServiceName": self.relay.service.service_name,
            "AlarmTopicArn": self.alarms.topic.topic_arn,
            "ConfigApplication": self.live_config.application.ref,
            "ConfigEnvironment": self.live_config.environment.ref,
            "ConfigProfile": self.live_config.profile.ref,
            "ConfigStrategy": self.live_config.push.ref,
            "MaxCallMinutes": str(self._settings.agent.limits.max_call_minutes),
            **({"MessagesGoTo": self.messages.address} if self.messages.address else {}),
            "LogGroups": ",".join(
                self._logs[part].log_group_name for part in ("webhook", "transfer", "messages", "relay")
            ),
        }.items():
            CfnOutput(self, name, value=value)


def _allow(role: iam.IRole, resource: str, *actions: str) -> None:
    role.add_to_principal_policy(iam.PolicyStatement(actions=list(actions), resources=[resource]))
