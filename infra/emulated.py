"""The same stack for an AWS emulator on this machine: `cdk deploy --app "python -m infra.emulated"`.

The deployable app knows nothing of this one. It is the stack of `infra.stack`, unchanged, under one Aspect that takes
away what MiniStack 1.5.33 cannot hold. Every difference is a line of `REMOVED`, `CHANGED` or `CHOSEN` with its reason;
a test holds the two templates against each other, another the documentation against these lines.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct

from contracts.agent_file import AgentFileError
from contracts.agent_file import load as load_agent
from infra import assets, settings
from infra.app import ROOT
from infra.stack import Patchthrough

_UNKNOWN = "the emulator does not know the type"
REMOVED: Mapping[str, str] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": _UNKNOWN,
    "AWS::ApplicationAutoScaling::ScalingPolicy": _UNKNOWN,
    "AWS::CloudWatch::Alarm": "the burst's alone, because its action is a scaling policy; every other alarm stays",
    "AWS::EC2::SecurityGroupIngress": f"{_UNKNOWN}: it holds rules only within their group",
    "AWS::EC2::SecurityGroupEgress": f"{_UNKNOWN}: it holds rules only within their group",
    "AWS::CloudFront::VpcOrigin": _UNKNOWN,
    "AWS::Logs::QueryDefinition": _UNKNOWN,
    "AWS::SQS::QueuePolicy": "denies whatever comes without TLS, and the emulator speaks plain HTTP",
    "AWS::SNS::TopicPolicy": "denies whatever comes without TLS, and the emulator speaks plain HTTP",
}
"""Resource types that are left out, and why."""

CHANGED: Mapping[str, str] = {
    "AWS::CloudFront::Distribution DistributionConfig.Origins.0.VpcOriginConfig": "names the VPC origin, left out",
    "AWS::CloudWatch::Alarm Metrics": "metric math is unknown: such an alarm watches a metric that nobody publishes",
    "AWS::Lambda::Function Environment.Variables.TWILIO_API_BASE_URL": (
        "added to the transfer functions: their Twilio is the stand-in carrier"
    ),
}
"""Properties (type and path) that differ in what stays, and why."""

CHOSEN: Mapping[str, str] = {
    "infra.assets.Platform": "functions run on the host's own Python and machine, so their wheels are the host's",
    "origin_prefix_list": "given: looking it up takes a custom resource in Node.js, with an SDK that only AWS provides",
    "CliCredentialsStackSynthesizer": (
        "the emulator enforces IAM, but refuses the roles that `cdk bootstrap` makes: the CDK acts as its caller, "
        "and the template has neither the parameter nor the rule on the bootstrap's version"
    ),
    "agent_file": "may be given as a path, so that an update can be deployed without touching the repository",
}
"""What the app is told differently, within what any stage may be told, and why."""

NO_METRIC: Mapping[str, str | int] = {
    "Namespace": "Emulated",
    "MetricName": "MetricMath",
    "Statistic": "Sum",
    "Period": 60,
}
PREFIX_LIST = "pl-0123456789abcdef0"
_UV_MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


@jsii.implements(cdk.IAspect)
class Emulated:
    """Takes away what the emulator cannot hold. `twilio`: where the transfer functions shall find Twilio's API."""

    def __init__(self, *, twilio: str) -> None:
        self._twilio = twilio

    def visit(self, node: IConstruct) -> None:
        """Called by the CDK for every construct, parents first."""
        if isinstance(node, ecs.FargateService):
            node.node.try_remove_child("TaskCount")  # the target, its policies and the burst's alarm
        elif isinstance(node, cloudfront.CfnDistribution):
            node.add_property_deletion_override("DistributionConfig.Origins.0.VpcOriginConfig")
        elif isinstance(node, cloudwatch.CfnAlarm) and node.metrics:
            node.add_property_deletion_override("Metrics")
            for name, value in NO_METRIC.items():
                node.add_property_override(name, value)
        elif isinstance(node, lambda_.CfnFunction) and str(node.handler).startswith("functions.transfer."):
            node.add_property_override("Environment.Variables.TWILIO_API_BASE_URL", self._twilio)
        elif isinstance(node, cdk.CfnResource) and node.cfn_resource_type in _REMOVED_ANYWHERE:
            scope = node.node.scope
            assert scope, "a resource is part of its stack"
            scope.node.try_remove_child(node.node.id)


_REMOVED_ANYWHERE = REMOVED.keys() - {"AWS::CloudWatch::Alarm"}


def host() -> assets.Platform:
    """The platform that the emulator runs functions on: its own.

    Raises:
        BundleError: there are no wheels for this machine.
    """
    machine = _UV_MACHINES.get(platform.machine())
    if machine is None:
        raise assets.BundleError(f"no function can run on {platform.machine()}; use an x86-64 or ARM64 machine")
    system = {"linux": "manylinux2014", "darwin": "apple-darwin"}.get(sys.platform, "manylinux2014")
    return assets.Platform(python=f"{sys.version_info.major}.{sys.version_info.minor}", machine=f"{machine}-{system}")


def emulate(app: cdk.App, stage: settings.Settings, bundles: assets.Bundles, *, twilio: str) -> None:
    """Put the stage's stack into the app as `infra.app` does, less what the emulator cannot hold, and unchecked."""
    synthesizer = cdk.CliCredentialsStackSynthesizer()
    Patchthrough(app, "Patchthrough", settings=stage, bundles=bundles, synthesizer=synthesizer)
    cdk.Tags.of(app).add("project", "patchthrough")
    cdk.Tags.of(app).add("stage", stage.stage)
    cdk.Aspects.of(app).add(Emulated(twilio=twilio))


def main() -> None:
    """Synthesise for the emulator; context: `stage`, `twilio` (a URL), `agent_file` (a path, optional)."""
    app = cdk.App()
    try:
        stage = settings.load(ROOT, str(app.node.try_get_context("stage") or "dev"))
        agent_file = Path(str(app.node.try_get_context("agent_file") or ROOT / stage.agent_file))
        stage = replace(stage, agent=load_agent(agent_file), origin_prefix_list=PREFIX_LIST)
        bundles = assets.Bundles(root=ROOT, agent_file=str(agent_file), platform=host())
        emulate(app, stage, bundles, twilio=str(app.node.try_get_context("twilio") or ""))
    except (settings.SettingsError, assets.BundleError, AgentFileError) as error:
        sys.exit(str(error))
    app.synth()


if __name__ == "__main__":
    main()
