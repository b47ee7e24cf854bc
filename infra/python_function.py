"""What our Lambda functions have in common: Python 3.13 on ARM64, JSON logs, a role of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import AssetHashType, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

MEMORY_MIB = 512


def code(directory: Path) -> lambda_.Code:
    """A bundle of `infra.assets`, whose name is its hash."""
    return lambda_.Code.from_asset(str(directory), asset_hash=directory.name, asset_hash_type=AssetHashType.CUSTOM)


class PythonFunction(Construct):
    """One function. Its role may write to `log_group` and nothing else until the stack grants it more.

    `live` is what callers of the function name: a published version's alias where `snap_start` is set, so that a cold
    start resumes a snapshot; the function itself otherwise.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        code: lambda_.Code,
        handler: str,
        timeout: int,
        environment: Mapping[str, str],
        log_group: logs.ILogGroup,
        snap_start: bool = False,
    ) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(self.role)
        self.function = lambda_.Function(
            self,
            "Function",
            code=code,
            handler=handler,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=MEMORY_MIB,
            timeout=Duration.seconds(timeout),
            environment=environment,
            role=self.role,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
            # A version costs as long as it lives.
            current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY),
        )
        self.live: lambda_.IFunction = self.function
        if snap_start:
            self.live = lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
