"""S11: what each role may do, as a table. A permission more or less fails here first."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.infra.conftest import Synthesised

Grants = set[tuple[str, str]]

LOG = ("logs:CreateLogStream", "logs:PutLogEvents")
RECEIVE = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
AUTH_TOKEN, REST, OPENAI = (
    f"secret:patchthrough/prod/{name}-??????" for name in ("twilio-auth-token", "twilio-rest", "openai-api-key")
)
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def may(actions: tuple[str, ...], resource: str) -> Grants:
    return {(action, resource) for action in actions}


CONFIGURATION = "application/LiveConfigApplication/environment/LiveConfigEnvironment/configuration/LiveConfigProfile"
READ = may(("appconfig:GetLatestConfiguration", "appconfig:StartConfigurationSession"), CONFIGURATION)

ALLOWED: dict[str, Grants] = {
    "WebhookAnswersRole": may(LOG, "WebhookLogs")
    | may(("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"), "LedgerTable")
    | may(("sqs:SendMessage",), "MessagesQueue")
    | may(("sqs:SendMessage",), "TransfersQueue")
    | may(("secretsmanager:GetSecretValue",), AUTH_TOKEN)
    | READ,
    "MessagesDeliverRole": may(LOG, "MessagesLogs")
    | may(("dynamodb:GetItem", "dynamodb:UpdateItem"), "LedgerTable")
    | may(("secretsmanager:GetSecretValue",), "MessagesSecret")
    | may(RECEIVE, "MessagesQueue")
    | READ,
    "RelayTaskTaskRole": may(("dynamodb:GetItem", "dynamodb:UpdateItem"), "LedgerTable")
    | may(("secretsmanager:GetSecretValue",), AUTH_TOKEN)
    | may(("secretsmanager:GetSecretValue",), OPENAI)
    | may(("sqs:SendMessage",), "TransfersQueue")
    | may(("ecs:GetTaskProtection", "ecs:UpdateTaskProtection"), "task/RelayCluster/*")
    | READ,
    "RelayTaskExecutionRole": may(LOG, "RelayLogs")
    | may(PULL, "repository/cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}")
    | {("ecr:GetAuthorizationToken", "*")},
    "TransfersTransferRole": may(LOG, "TransferLogs")
    | may(("dynamodb:GetItem", "dynamodb:UpdateItem"), "LedgerTable")
    | may(("secretsmanager:GetSecretValue",), REST)
    | may(RECEIVE, "TransfersQueue")
    | READ,
    "TransfersLastResortRole": may(LOG, "TransferLogs")
    | may(("dynamodb:GetItem", "dynamodb:UpdateItem"), "LedgerTable")
    | may(("secretsmanager:GetSecretValue",), REST)
    | may(RECEIVE, "TransfersDeadLetters")
    | READ,
    "LiveConfigAlarmRole": {("cloudwatch:DescribeAlarms", "*")},
    "EdgeLookupRole": may(LOG, "EdgeLookupLogs") | {("ec2:DescribeManagedPrefixLists", "*")},
}

OUT_OF_SCOPE = [
    ("RelayTaskTaskRole", "secretsmanager:GetSecretValue", REST),
    ("RelayTaskTaskRole", "sqs:ReceiveMessage", "TransfersQueue"),
    ("RelayTaskTaskRole", "sqs:DeleteMessage", "TransfersQueue"),
    ("RelayTaskTaskRole", "sqs:SendMessage", "TransfersDeadLetters"),
    ("RelayTaskTaskRole", "dynamodb:PutItem", "LedgerTable"),
    ("RelayTaskTaskRole", "dynamodb:Scan", "LedgerTable"),
    ("RelayTaskTaskRole", "dynamodb:DeleteItem", "LedgerTable"),
    ("RelayTaskTaskRole", "ecs:StopTask", "task/RelayCluster/1"),
    ("RelayTaskTaskRole", "ecs:UpdateTaskProtection", "task/OtherCluster/1"),
    ("RelayTaskTaskRole", "secretsmanager:PutSecretValue", OPENAI),
    ("WebhookAnswersRole", "secretsmanager:GetSecretValue", OPENAI),
    ("WebhookAnswersRole", "secretsmanager:GetSecretValue", REST),
    ("WebhookAnswersRole", "sqs:ReceiveMessage", "TransfersQueue"),
    ("WebhookAnswersRole", "sqs:SendMessage", "TransfersDeadLetters"),
    ("WebhookAnswersRole", "sqs:ReceiveMessage", "MessagesQueue"),
    ("WebhookAnswersRole", "secretsmanager:GetSecretValue", "MessagesSecret"),
    ("MessagesDeliverRole", "secretsmanager:GetSecretValue", REST),
    ("MessagesDeliverRole", "dynamodb:PutItem", "LedgerTable"),
    ("MessagesDeliverRole", "sns:Publish", "arn:aws:sns:us-east-1:123456789012:other"),
    ("MessagesDeliverRole", "sqs:SendMessage", "MessagesQueue"),
    ("RelayTaskTaskRole", "sqs:SendMessage", "MessagesQueue"),
    ("WebhookAnswersRole", "dynamodb:Query", "LedgerTable"),
    ("TransfersTransferRole", "secretsmanager:GetSecretValue", AUTH_TOKEN),
    ("TransfersTransferRole", "secretsmanager:GetSecretValue", OPENAI),
    ("TransfersTransferRole", "sqs:SendMessage", "TransfersQueue"),
    ("TransfersTransferRole", "sqs:ReceiveMessage", "TransfersDeadLetters"),
    ("TransfersTransferRole", "dynamodb:PutItem", "LedgerTable"),
    ("TransfersLastResortRole", "sqs:ReceiveMessage", "TransfersQueue"),
    ("TransfersLastResortRole", "lambda:InvokeFunction", "TransfersTransfer"),
    ("RelayTaskExecutionRole", "secretsmanager:GetSecretValue", OPENAI),
    ("RelayTaskExecutionRole", "appconfig:GetLatestConfiguration", CONFIGURATION),
    ("RelayTaskTaskRole", "appconfig:GetLatestConfiguration", CONFIGURATION.replace("LiveConfigProfile", "other")),
    ("RelayTaskTaskRole", "appconfig:StartDeployment", CONFIGURATION),
    ("WebhookAnswersRole", "appconfig:CreateHostedConfigurationVersion", CONFIGURATION),
]


SERVICES = {"Relay": "ecs-tasks.amazonaws.com", "LiveConfig": "appconfig.amazonaws.com"}


def name(logical_id: str) -> str:
    """A logical id without the hash that CDK ends it with, nor CDK's word for a policy or the only resource."""
    return re.sub(r"(DefaultPolicy|CustomResourcePolicy)?[0-9A-F]{8}$", "", logical_id)


def written(resource: Any) -> str:
    """A resource as the table writes it: the last part of an ARN, or the resource that it is an attribute of."""
    if isinstance(resource, str):
        return resource
    if "Fn::GetAtt" in resource:
        return name(resource["Fn::GetAtt"][0])
    if "Ref" in resource:
        return name(resource["Ref"])
    if "Fn::Sub" in resource:
        return str(resource["Fn::Sub"])
    separator, parts = resource["Fn::Join"]
    text = separator.join(part if isinstance(part, str) and part else written(part) for part in parts)
    return re.sub(r"^arn:AWS::Partition:\w+:AWS::Region:AWS::AccountId:", "", text)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def granted(stack: Synthesised) -> dict[str, Grants]:
    found: dict[str, Grants] = {name(role): set() for role in stack.of_type("IAM::Role")}
    for policy in stack.of_type("IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            pairs = {
                (action, written(resource))
                for action in listed(statement["Action"])
                for resource in listed(statement["Resource"])
            }
            for role in policy["Roles"]:
                found[name(role["Ref"])] |= pairs
    return found


def test_S11_each_role_may_do_what_the_table_says_and_nothing_else(granted: dict[str, Grants]) -> None:
    assert granted == ALLOWED


def test_S11_no_role_has_a_managed_or_inline_policy_besides(stack: Synthesised) -> None:
    for role in stack.of_type("IAM::Role").values():
        assert not role.keys() & {"ManagedPolicyArns", "Policies"}


def test_S11_each_role_serves_one_part(stack: Synthesised) -> None:
    for role, properties in stack.of_type("IAM::Role").items():
        (statement,) = properties["AssumeRolePolicyDocument"]["Statement"]
        part = role.removesuffix("Role")
        service = next((one for start, one in SERVICES.items() if part.startswith(start)), "lambda.amazonaws.com")
        assert statement["Principal"] == {"Service": service}


def test_S11_no_action_is_a_wildcard(granted: dict[str, Grants]) -> None:
    assert not [action for pairs in granted.values() for action, _ in pairs if "*" in action]


def allowed(pairs: Grants, action: str, resource: str) -> bool:
    return any(fnmatchcase(action, some) and fnmatchcase(resource, where) for some, where in pairs)


@pytest.mark.parametrize(("role", "action", "resource"), OUT_OF_SCOPE)
def test_S11_what_is_out_of_a_roles_scope_is_denied(
    granted: dict[str, Grants], role: str, action: str, resource: str
) -> None:
    assert not allowed(granted[role], action, resource)


def test_S11_the_evaluator_allows_what_is_granted(granted: dict[str, Grants]) -> None:
    assert allowed(granted["RelayTaskTaskRole"], "ecs:UpdateTaskProtection", "task/RelayCluster/1")
    assert allowed(granted["RelayTaskTaskRole"], "secretsmanager:GetSecretValue", OPENAI.replace("??????", "a1B2c3"))


def test_S11_the_table_covers_every_policy_document(stack: Synthesised) -> None:
    """Resource policies only deny what is not encrypted on the way, or let the API call its function."""
    for kind in ("SQS::QueuePolicy", "SNS::TopicPolicy"):
        for policy in stack.of_type(kind).values():
            for statement in policy["PolicyDocument"]["Statement"]:
                plain = statement["Effect"] == "Deny" and "aws:SecureTransport" in json.dumps(statement["Condition"])
                alarms = statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
                assert plain or alarms
    for permission in stack.of_type("Lambda::Permission").values():
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert "SourceArn" in permission
