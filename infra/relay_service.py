"""The relay's tasks: what they run on, how they are replaced, and when there are more of them.

No deployment and no scaling ends a live call. Three layers see to that: a task with calls is protected, a leaving
task's sockets live for a whole call, and SIGTERM leaves time to send the last callers on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_logs as logs
from aws_cdk.aws_applicationautoscaling import AdjustmentType, MetricAggregationType, ScalingInterval
from constructs import Construct

from infra.media_edge import MediaEdge
from infra.metrics import live_calls
from infra.network import PUBLIC, Network
from infra.settings import Settings

PORT = 8081
DOCKERFILE = "containers/media_relay/Dockerfile"
_HEALTH = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{PORT}/healthz', timeout=3)"


class RelayService(Construct):
    """`role` is what the relay may do; `service`, `cluster` and `target_group` are for alarms and grants."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        root: Path,
        network: Network,
        edge: MediaEdge,
        environment: Mapping[str, str],
        settings: Settings,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=settings.cluster_name,
            vpc=network.vpc,
            container_insights_v2=ecs.ContainerInsights.ENHANCED,
        )
        task = self._task(root, environment, log_group)
        self.role = task.task_role
        self.service = self._service(task, self._security_group(network.vpc, edge))
        assert task.execution_role, "a task that logs has one"
        self.service.node.add_dependency(task.execution_role, *network.connected)
        self.target_group = self._receive(edge, network.vpc)
        self._scale()

    def _task(self, root: Path, environment: Mapping[str, str], log_group: logs.ILogGroup) -> ecs.FargateTaskDefinition:
        settings, timing = self._settings, self._settings.timing
        task = ecs.FargateTaskDefinition(
            self,
            "Task",
            cpu=settings.relay.cpu,
            memory_limit_mib=settings.relay.memory,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64, operating_system_family=ecs.OperatingSystemFamily.LINUX
            ),
        )
        image = ecs.ContainerImage.from_asset(
            str(root),
            file=DOCKERFILE,
            platform=ecr_assets.Platform.LINUX_ARM64,
            build_args={"AGENT_FILE": settings.agent_file},
        )
        task.add_container(
            "relay",
            image=image,
            environment={
                **environment,
                "AWS_DEFAULT_REGION": Stack.of(self).region,
                "RELAY_HOST": "0.0.0.0",  # noqa: S104 - the security group admits the load balancer alone
                "RELAY_PORT": str(PORT),
                "MAX_CALLS": str(settings.relay.calls_per_task),
                "MAX_RSS_MIB": str(settings.relay.memory * 85 // 100),
                "DRAIN_SECONDS": str(timing.drain),
                "TASK_PROTECTION_MINUTES": str(timing.protection_minutes),
            },
            port_mappings=[ecs.PortMapping(container_port=PORT)],
            user="1000:1000",
            readonly_root_filesystem=True,
            stop_timeout=Duration.seconds(timing.stop_timeout),
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-c", _HEALTH],
                interval=Duration.seconds(30),
                timeout=Duration.seconds(5),
                retries=5,
                start_period=Duration.seconds(15),
            ),
            logging=ecs.LogDriver.aws_logs(
                log_group=log_group,
                stream_prefix="relay",
                # A stalled log must not stall the audio: lines are dropped instead.
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
            ),
        )
        return task

    def _security_group(self, vpc: ec2.IVpc, edge: MediaEdge) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            allow_all_outbound=False,
            description="Media sockets: the tasks of the relay",
        )
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "The model and AWS")
        group.add_ingress_rule(edge.security_group, ec2.Port.tcp(PORT), "The load balancer")
        edge.security_group.add_egress_rule(group, ec2.Port.tcp(PORT), "The tasks of the relay")
        return group

    def _service(self, task: ecs.FargateTaskDefinition, group: ec2.SecurityGroup) -> ecs.FargateService:
        # No desired count: a fixed one would shrink a busy fleet at every deployment.
        service = ecs.FargateService(
            self,
            "Service",
            cluster=self.cluster,
            task_definition=task,
            assign_public_ip=True,
            vpc_subnets=PUBLIC,
            security_groups=[group],
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            health_check_grace_period=Duration.seconds(60),
            # Rebalancing stops tasks, whoever is talking:
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
            enable_execute_command=False,
        )
        made = service.node.default_child
        assert isinstance(made, ecs.CfnService), "a Fargate service is one resource"
        # The deployment has succeeded when the new tasks are healthy; the old ones drain outside it. Otherwise a long
        # call would hold the stack's update until CloudFormation gives up after three hours:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/early-success-criteria.html
        made.add_property_override(
            "DeploymentConfiguration.EarlySuccessCriteria",
            {"Enable": True, "HealthyPercent": 100, "SourceServiceRevisionCleanup": "DEFERRED"},
        )
        return service

    def _receive(self, edge: MediaEdge, vpc: ec2.IVpc) -> elb.ApplicationTargetGroup:
        timing = self._settings.timing
        target_group = elb.ApplicationTargetGroup(
            self,
            "Tasks",
            vpc=vpc,
            port=PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            targets=[self.service],
            deregistration_delay=Duration.seconds(timing.deregistration),
            load_balancing_algorithm_type=elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
            # /healthz and never /readyz: a task that says "busy" here would be replaced under its callers.
            health_check=elb.HealthCheck(
                path="/healthz",
                healthy_http_codes="200",
                interval=Duration.seconds(5),
                timeout=Duration.seconds(4),
                healthy_threshold_count=2,
                unhealthy_threshold_count=10,
            ),
        )
        edge.listener.add_action(
            "Media",
            priority=1,
            conditions=[elb.ListenerCondition.path_patterns(["/media/*"])],
            action=elb.ListenerAction.forward([target_group]),
        )
        self.service.node.add_dependency(edge.listener)
        return target_group

    def _scale(self) -> None:
        relay = self._settings.relay
        scaling = self.service.auto_scale_task_count(min_capacity=relay.min_tasks, max_capacity=relay.max_tasks)
        # The average over accepting tasks: sockets stay where they are, so a maximum would never fall.
        scaling.scale_to_track_custom_metric(
            "Calls",
            metric=live_calls(),
            target_value=relay.target_calls,
            scale_in_cooldown=Duration.minutes(10),
            scale_out_cooldown=Duration.seconds(30),
        )
        # Only upwards, and at ten seconds' notice; the tracking above takes minutes.
        scaling.scale_on_metric(
            "Burst",
            metric=live_calls().with_(period=Duration.seconds(10)),
            adjustment_type=AdjustmentType.CHANGE_IN_CAPACITY,
            metric_aggregation_type=MetricAggregationType.AVERAGE,
            scaling_steps=[
                ScalingInterval(lower=relay.calls_per_task * 0.75, change=1),
                ScalingInterval(lower=relay.calls_per_task * 0.9, change=3),
            ],
            cooldown=Duration.seconds(60),
            evaluation_periods=1,
        )
