from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from containers.media_relay.config import Config
from contracts.metrics import NAMESPACE, Metric
from contracts.stream import MEDIA_PATH
from functions import live_config
from functions.transfer import handler as transfer_handler
from functions.voice_webhook import handler as webhook_handler
from infra import settings
from infra.acknowledgements import ACKNOWLEDGED
from infra.app import ROOT
from tests.infra.conftest import Synthesised, synthesise


def environment(variables: list[dict[str, Any]]) -> dict[str, Any]:
    return {variable["Name"]: variable["Value"] for variable in variables}


def findings(made: Synthesised) -> set[tuple[str, str]]:
    """Rule and construct path of everything that the checks found."""
    return {
        (violation["ruleName"], construct["constructPath"])
        for plugin in made.report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }


class TestTheEdge:
    def test_cloudfront_asks_port_80_where_the_listener_is(self, stack: Synthesised) -> None:
        origin = stack.one("CloudFront::VpcOrigin")["VpcOriginEndpointConfig"]
        assert (origin["OriginProtocolPolicy"], origin["HTTPPort"]) == ("http-only", 80)
        assert stack.one("ElasticLoadBalancingV2::Listener")["Port"] == 80

    def test_the_handshakes_headers_pass_and_nothing_is_cached(self, stack: Synthesised) -> None:
        behaviour = stack.one("CloudFront::Distribution")["DistributionConfig"]["DefaultCacheBehavior"]
        assert behaviour["OriginRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"  # AllViewer
        assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CachingDisabled
        assert behaviour["ViewerProtocolPolicy"] == "https-only"

    def test_the_load_balancer_is_internal_and_admits_cloudfront_alone(self, stack: Synthesised) -> None:
        balancer = stack.one("ElasticLoadBalancingV2::LoadBalancer")
        assert balancer["Scheme"] == "internal"
        rule = stack.named("EC2::SecurityGroupIngress", "EdgeSecurityGroup")
        assert rule["FromPort"] == rule["ToPort"] == 80
        assert "SourcePrefixListId" in rule
        assert "CidrIp" not in json.dumps(stack.named("EC2::SecurityGroup", "EdgeSecurityGroup"))

    def test_a_given_prefix_list_needs_no_look_up(self, tmp_path: Path) -> None:
        stage = settings.load(ROOT, "dev")
        given = type(stage)(**{**vars(stage), "origin_prefix_list": "pl-0123456789abcdef0"})
        made = synthesise(given, tmp_path / "out")
        assert "Custom::AWS" not in {resource["Type"] for resource in made.template["Resources"].values()}
        assert made.named("EC2::SecurityGroupIngress", "EdgeSecurityGroup")["SourcePrefixListId"].startswith("pl-")

    def test_only_the_media_path_has_a_way_in(self, stack: Synthesised) -> None:
        (condition,) = stack.one("ElasticLoadBalancingV2::ListenerRule")["Conditions"]
        assert condition["PathPatternConfig"]["Values"] == [f"{MEDIA_PATH}*"]
        (otherwise,) = stack.one("ElasticLoadBalancingV2::Listener")["DefaultActions"]
        assert otherwise["FixedResponseConfig"]["StatusCode"] == "404"

    def test_the_load_balancer_waits_and_lets_go_as_the_timing_says(self, stack: Synthesised) -> None:
        def attributes(kind: str, name: str) -> dict[str, str]:
            return {one["Key"]: one["Value"] for one in stack.one(f"ElasticLoadBalancingV2::{kind}")[name]}

        balancer = attributes("LoadBalancer", "LoadBalancerAttributes")
        assert balancer["idle_timeout.timeout_seconds"] == "120"
        assert balancer["routing.http.drop_invalid_header_fields.enabled"] == "true"
        group = attributes("TargetGroup", "TargetGroupAttributes")
        assert group["deregistration_delay.timeout_seconds"] == str(30 * 60 + 60)
        assert group["load_balancing.algorithm.type"] == "least_outstanding_requests"

    def test_health_is_asked_where_no_task_ever_says_busy(self, stack: Synthesised) -> None:
        group = stack.one("ElasticLoadBalancingV2::TargetGroup")
        assert (group["HealthCheckPath"], group["HealthCheckIntervalSeconds"]) == ("/healthz", 5)

    def test_there_is_no_nat_gateway(self, stack: Synthesised) -> None:
        assert not stack.of_type("EC2::NatGateway")
        assert len(stack.of_type("EC2::Subnet")) == 4

    def test_a_domain_replaces_cloudfront_by_a_certificate(self, with_domain: Synthesised) -> None:
        assert not with_domain.of_type("CloudFront::Distribution")
        assert with_domain.one("ElasticLoadBalancingV2::LoadBalancer")["Scheme"] == "internet-facing"
        listener = with_domain.one("ElasticLoadBalancingV2::Listener")
        assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
        assert "TLS13" in listener["SslPolicy"]
        assert with_domain.one("Route53::RecordSet")["Name"] == "voice.example.com."
        container = with_domain.one("ECS::TaskDefinition")["ContainerDefinitions"][0]
        assert environment(container["Environment"])["PUBLIC_MEDIA_ORIGIN"] == "wss://voice.example.com"


class TestTheRelay:
    def test_R31_no_deployment_ends_a_call(self, stack: Synthesised) -> None:
        service = stack.one("ECS::Service")
        assert service["DeploymentConfiguration"] == {
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
            "EarlySuccessCriteria": {"Enable": True, "HealthyPercent": 100, "SourceServiceRevisionCleanup": "DEFERRED"},
            "MaximumPercent": 200,
            "MinimumHealthyPercent": 100,
        }
        assert service["AvailabilityZoneRebalancing"] == "DISABLED"

    def test_a_busy_fleet_is_not_shrunk_by_a_deployment(self, stack: Synthesised) -> None:
        assert "DesiredCount" not in stack.one("ECS::Service")

    def test_tasks_have_public_addresses_and_one_way_in(self, stack: Synthesised) -> None:
        network = stack.one("ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "ENABLED"
        (out,) = stack.named("EC2::SecurityGroup", "RelaySecurityGroup")["SecurityGroupEgress"]
        assert (out["FromPort"], out["ToPort"]) == (443, 443)
        rule = stack.named("EC2::SecurityGroupIngress", "RelaySecurityGroup")
        assert rule["FromPort"] == rule["ToPort"] == 8081
        assert "SourceSecurityGroupId" in rule

    def test_the_container_is_locked_down_and_given_time(self, stack: Synthesised) -> None:
        task = stack.one("ECS::TaskDefinition")
        assert task["RuntimePlatform"] == {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
        (container,) = task["ContainerDefinitions"]
        assert container["ReadonlyRootFilesystem"] is True
        assert container["User"] == "1000:1000"
        assert container["StopTimeout"] == 120
        assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"
        assert container["HealthCheck"]["Command"][:2] == ["CMD", "python"]
        assert "/healthz" in container["HealthCheck"]["Command"][-1]
        assert "Secrets" not in container

    def test_the_relay_starts_on_exactly_what_its_task_gives_it(self, stack: Synthesised) -> None:
        (container,) = stack.one("ECS::TaskDefinition")["ContainerDefinitions"]
        given = environment(container["Environment"])
        texts = {name: value if isinstance(value, str) else "deployed" for name, value in given.items()}
        config = Config.from_env(texts | {"PUBLIC_MEDIA_ORIGIN": "wss://d111.cloudfront.net"})
        assert (config.host, config.port) == ("0.0.0.0", container["PortMappings"][0]["ContainerPort"])
        assert (config.max_calls, config.drain_seconds) == (30, 100)
        assert given["AWS_DEFAULT_REGION"] == {"Ref": "AWS::Region"}
        assert given["TASK_PROTECTION_MINUTES"] == "32"

    def test_there_are_never_fewer_than_two_tasks(self, stack: Synthesised) -> None:
        target = stack.one("ApplicationAutoScaling::ScalableTarget")
        assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 20)

    def test_scaling_follows_the_average_and_bursts_only_upwards(self, stack: Synthesised) -> None:
        policies = {one["PolicyType"]: one for one in stack.of_type("ApplicationAutoScaling::ScalingPolicy").values()}
        tracking = policies["TargetTrackingScaling"]["TargetTrackingScalingPolicyConfiguration"]
        assert tracking["TargetValue"] == 18
        metric = tracking["CustomizedMetricSpecification"]
        assert (metric["Namespace"], metric["MetricName"]) == (NAMESPACE, Metric.ACTIVE_CALLS)
        assert metric["Statistic"] == "Average"
        steps = policies["StepScaling"]["StepScalingPolicyConfiguration"]["StepAdjustments"]
        assert [step["ScalingAdjustment"] for step in steps] == [1, 3]
        burst = stack.named("CloudWatch::Alarm", "RelayServiceTaskCountTargetBurst")
        assert (burst["Period"], burst["Threshold"], burst["Statistic"]) == (10, 22.5, "Average")


def route_keys(stack: Synthesised) -> set[str]:
    return {one["RouteKey"] for one in stack.of_type("ApiGatewayV2::Route").values()}


class TestTheWebhook:
    def test_it_answers_on_the_default_stage_under_the_path_that_twilio_signs(self, stack: Synthesised) -> None:
        stage = stack.one("ApiGatewayV2::Stage")
        assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)
        assert route_keys(stack) == {"POST /voice/{question}", "GET /voice/summary"}

    def test_every_route_of_the_function_has_a_way_in(self, stack: Synthesised) -> None:
        source = Path(webhook_handler.__file__).read_text()
        assert re.findall(r'return \{f"(/[^"]+)": ', source) == ["/voice/{name}"]
        assert "POST /voice/{question}" in route_keys(stack)

    def test_it_is_throttled_and_its_log_knows_no_caller(self, stack: Synthesised) -> None:
        stage = stack.one("ApiGatewayV2::Stage")
        assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 50}
        assert not re.search(r"query|body|authorizer", stage["AccessLogSettings"]["Format"], re.IGNORECASE)

    def test_a_cold_start_resumes_a_snapshot_of_a_published_version(self, stack: Synthesised) -> None:
        assert stack.named("Lambda::Function", "Webhook")["SnapStart"] == {"ApplyOn": "PublishedVersions"}
        alias = next(iter(stack.of_type("Lambda::Alias")))
        assert stack.one("ApiGatewayV2::Integration")["IntegrationUri"] == {"Ref": alias}

    def test_old_versions_cost_nothing(self, stack: Synthesised) -> None:
        (version,) = (one for one in stack.template["Resources"].values() if one["Type"] == "AWS::Lambda::Version")
        assert version.get("DeletionPolicy", "Delete") == "Delete"


class TestTheTransfers:
    def test_one_message_an_invocation_with_partial_failures(self, stack: Synthesised) -> None:
        for mapping in stack.of_type("Lambda::EventSourceMapping").values():
            assert mapping["BatchSize"] == 1
            assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
            assert "MaximumBatchingWindowInSeconds" not in mapping
        mapping = stack.named("Lambda::EventSourceMapping", "TransfersTransfer")
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": 10}

    def test_the_queue_is_standard_encrypted_and_ends_at_the_last_resort(self, stack: Synthesised) -> None:
        queue = stack.named("SQS::Queue", "TransfersQueue")
        assert "FifoQueue" not in queue
        assert queue["SqsManagedSseEnabled"] is True
        assert (queue["VisibilityTimeout"], queue["MessageRetentionPeriod"]) == (360, 4320)
        assert queue["RedrivePolicy"]["maxReceiveCount"] == 10
        (dead,) = (name for name in stack.of_type("SQS::Queue") if name.startswith("TransfersDeadLetters"))
        assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [dead, "Arn"]}
        mapping = stack.named("Lambda::EventSourceMapping", "TransfersLastResort")
        assert mapping["EventSourceArn"] == {"Fn::GetAtt": [dead, "Arn"]}
        assert stack.of_type("SQS::Queue")[dead]["MessageRetentionPeriod"] == 14 * 24 * 3600


class TestTheFunctions:
    @pytest.mark.parametrize(
        ("function", "entry", "seconds", "module"),
        [
            ("WebhookAnswers", "functions.voice_webhook.handler.handler", 10, webhook_handler),
            ("TransfersTransfer", "functions.transfer.handler.handler", 60, transfer_handler),
            ("TransfersLastResort", "functions.transfer.handler.last_resort", 60, transfer_handler),
        ],
    )
    def test_each_is_what_its_code_expects(
        self, stack: Synthesised, function: str, entry: str, seconds: int, module: Any
    ) -> None:
        made = stack.named("Lambda::Function", function)
        assert (made["Handler"], made["Timeout"]) == (entry, seconds)
        assert callable(getattr(module, entry.rpartition(".")[2]))
        assert (made["Runtime"], made["Architectures"]) == ("python3.13", ["arm64"])
        assert made["LoggingConfig"]["LogFormat"] == "JSON"
        given = made["Environment"]["Variables"]
        sources = Path(module.__file__).read_text() + Path(live_config.__file__).read_text()
        needed = set(re.findall(r'"([A-Z]{2,}(?:_[A-Z]+)+)"', sources))
        optional = {"AGENT_FILE", "TWILIO_API_BASE_URL", "CHILD_LEG_LAG_SECONDS"}
        assert needed - optional == given.keys()


class TestTheWhole:
    def test_the_ledger_is_the_table_that_the_code_expects(self, stack: Synthesised) -> None:
        table = stack.one("DynamoDB::GlobalTable")
        assert table["KeySchema"] == [{"AttributeName": "call_sid", "KeyType": "HASH"}]
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        (replica,) = table["Replicas"]
        assert replica["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}

    def test_nothing_outlives_the_stack(self, stack: Synthesised) -> None:
        kept = {name for name, one in stack.template["Resources"].items() if one.get("DeletionPolicy") == "Retain"}
        assert kept == set()

    def test_every_log_is_kept_for_as_long_as_the_stage_says(self, stack: Synthesised) -> None:
        days = {one["LogGroupName"]: one["RetentionInDays"] for one in stack.of_type("Logs::LogGroup").values()}
        assert days.pop("/patchthrough/prod/lookup") == 7
        assert set(days.values()) == {30}

    def test_S12_no_secret_has_a_place_in_the_output(self, stack: Synthesised) -> None:
        for path in stack.directory.glob("*.json"):
            assert "{{resolve:secretsmanager" not in path.read_text()
        # The one secret of the stack's own is made by AWS, and nobody has seen it.
        for made in stack.of_type("SecretsManager::Secret").values():
            assert "GenerateSecretString" in made
            assert "SecretString" not in made
        assert {one["Type"] for one in stack.template["Parameters"].values()} == {"AWS::SSM::Parameter::Value<String>"}

    def test_S12_secrets_are_named_where_they_are_used(self, stack: Synthesised) -> None:
        text = json.dumps(stack.template)
        for name in ("twilio-auth-token", "twilio-rest", "openai-api-key"):
            assert f"patchthrough/prod/{name}" in text

    def test_cdk_nag_finds_nothing_that_is_not_acknowledged(self, stack: Synthesised, with_domain: Synthesised) -> None:
        assert findings(stack) == findings(with_domain) == set()

    def test_cdk_nag_does_find_what_is_acknowledged(self, tmp_path: Path) -> None:
        unacknowledged = synthesise(settings.load(ROOT, "prod"), tmp_path, acknowledged=False)
        rules = {rule for rules in ACKNOWLEDGED.values() for rule in rules}
        assert {rule for rule, _ in findings(unacknowledged)} == rules - {"AwsSolutions-EC23"}  # that one has a domain

    def test_every_acknowledgement_is_a_sentence(self) -> None:
        for rules in ACKNOWLEDGED.values():
            for reason in rules.values():
                assert re.fullmatch(r"[A-Za-z].{30,}\.", reason)

    def test_cfn_lint_finds_nothing(self, stack: Synthesised, with_domain: Synthesised) -> None:
        for made in (stack, with_domain):
            template = made.directory / "Patchthrough.template.json"
            # W3005: CDK writes dependencies out that a reference would already make.
            lint = Path(sys.executable).parent / "cfn-lint"
            done = subprocess.run(
                [lint, "--ignore-checks", "W3005", "--", template], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_two_runs_make_the_same_template(self, stack: Synthesised, tmp_path: Path) -> None:
        again = synthesise(stack.stage, tmp_path / "again")
        assert again.template == stack.template

    def test_no_context_is_looked_up_while_synthesising(self, stack: Synthesised) -> None:
        assert "missing" not in json.loads((stack.directory / "manifest.json").read_text())

    def test_an_operators_tools_find_what_they_need_in_the_outputs(self, stack: Synthesised) -> None:
        assert set(stack.template["Outputs"]) == {
            "VoiceWebhookUrl",
            "CallStatusUrl",
            "PublicWebhookOrigin",
            "PublicMediaOrigin",
            "LedgerTable",
            "TransferQueueUrl",
            "DeadLetterQueueUrl",
            "ClusterName",
            "ServiceName",
            "AlarmTopicArn",
            "LogGroups",
            "ConfigApplication",
            "ConfigEnvironment",
            "ConfigProfile",
            "ConfigStrategy",
            "MaxCallMinutes",
        }
