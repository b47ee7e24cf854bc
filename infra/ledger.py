"""The ledger: one row a call, gone a day later."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct


class Ledger(Construct):
    """The table of `contracts/ledger.py`: key `call_sid`, TTL `expires_at`, on demand, restorable to any second."""

    def __init__(self, scope: Construct, id_: str) -> None:
        super().__init__(scope, id_)
        self.table = dynamodb.TableV2(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="call_sid", type=dynamodb.AttributeType.STRING),
            time_to_live_attribute="expires_at",
            billing=dynamodb.Billing.on_demand(),
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            # Rows outlive their call by a day; a stack that is destroyed leaves nothing behind.
            removal_policy=RemovalPolicy.DESTROY,
        )
