"""How Twilio's media sockets come in: a load balancer, and what stands before it on the internet.

Without a domain that is CloudFront's default host and certificate, which reaches an internal load balancer through a
VPC origin; WebSockets pass there since May 2026:
https://aws.amazon.com/about-aws/whats-new/2026/05/amazon-cloudfront-websockets-vpc-origins/
With a domain the load balancer itself is on the internet, with a certificate for it.
"""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import custom_resources as custom
from constructs import Construct

from infra.network import ISOLATED, PUBLIC, Network
from infra.settings import Domain, Settings

_PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"


class MediaEdge(Construct):
    """`origin` is the public `wss://…`; `listener` is where the relay's tasks are to be added."""

    origin: str
    listener: elb.ApplicationListener

    def __init__(self, scope: Construct, id_: str, *, network: Network, settings: Settings) -> None:
        super().__init__(scope, id_)
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=network.vpc,
            allow_all_outbound=False,
            description="Media sockets: the load balancer",
        )
        self.load_balancer = elb.ApplicationLoadBalancer(
            self,
            "LoadBalancer",
            vpc=network.vpc,
            internet_facing=settings.domain is not None,
            vpc_subnets=PUBLIC if settings.domain else ISOLATED,
            security_group=self.security_group,
            idle_timeout=Duration.seconds(settings.timing.idle),
            drop_invalid_header_fields=True,
        )
        if settings.domain:
            self._behind_domain(settings.domain)
        else:
            self._behind_cloudfront(network, settings)

    def _listen(
        self,
        port: int,
        protocol: elb.ApplicationProtocol,
        certificate: acm.ICertificate | None = None,
    ) -> elb.ApplicationListener:
        # Only /media/… has a way in; health and readiness are nobody's business outside.
        return self.load_balancer.add_listener(
            "Listener",
            port=port,
            protocol=protocol,
            open=False,
            default_action=elb.ListenerAction.fixed_response(404),
            certificates=[certificate] if certificate else None,
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS if certificate else None,
        )

    def _behind_cloudfront(self, network: Network, settings: Settings) -> None:
        self.listener = self._listen(80, elb.ApplicationProtocol.HTTP)
        prefix_list = settings.origin_prefix_list or self._look_up_prefix_list(settings)
        self.security_group.add_ingress_rule(ec2.Peer.prefix_list(prefix_list), ec2.Port.tcp(80), "CloudFront")
        origin = origins.VpcOrigin.with_application_load_balancer(
            self.load_balancer,
            # The default, MATCH_VIEWER, would ask port 443, where nothing listens.
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTP_ONLY,
            http_port=80,
            # A caller hears ringing meanwhile: 3 times 10 seconds, the default, is no answer.
            connection_attempts=2,
            connection_timeout=Duration.seconds(2),
        )
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"{settings.stack_name}: media sockets",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origin,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                # Sec-WebSocket-Key and X-Twilio-Signature must arrive:
                # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-working-with.websockets.html
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                compress=False,
            ),
        )
        # A VPC origin can be made and removed only while an internet gateway is attached:
        # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
        distribution.node.add_dependency(self.listener, *network.connected)
        self.origin = f"wss://{distribution.distribution_domain_name}"

    def _look_up_prefix_list(self, settings: Settings) -> str:
        """CloudFront's address ranges by their name in this region, asked for while deploying: synthesis is offline."""
        group = logs.LogGroup(
            self,
            "LookupLogs",
            log_group_name=f"/patchthrough/{settings.stage}/lookup",
            retention=logs.RetentionDays.ONE_WEEK,
            removal_policy=RemovalPolicy.DESTROY,
        )
        role = iam.Role(self, "LookupRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        group.grant_write(role)
        path = "PrefixLists.0.PrefixListId"
        lookup = custom.AwsCustomResource(
            self,
            "PrefixList",
            on_update=custom.AwsSdkCall(
                service="EC2",
                action="describeManagedPrefixLists",
                parameters={"Filters": [{"Name": "prefix-list-name", "Values": [_PREFIX_LIST]}]},
                physical_resource_id=custom.PhysicalResourceId.of(_PREFIX_LIST),
                output_paths=[path],
            ),
            policy=custom.AwsCustomResourcePolicy.from_statements(
                # This action knows no resources:
                # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
                [iam.PolicyStatement(actions=["ec2:DescribeManagedPrefixLists"], resources=["*"])]
            ),
            role=role,
            log_group=group,
            install_latest_aws_sdk=False,
        )
        return lookup.get_response_field(path)

    def _behind_domain(self, domain: Domain) -> None:
        # By attributes, not by look-up: synthesis is offline.
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=domain.hosted_zone_id, zone_name=domain.hosted_zone_name
        )
        certificate = acm.Certificate(
            self, "Certificate", domain_name=domain.name, validation=acm.CertificateValidation.from_dns(zone)
        )
        self.listener = self._listen(443, elb.ApplicationProtocol.HTTPS, certificate)
        self.security_group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Twilio has no fixed addresses")
        route53.ARecord(
            self,
            "Address",
            zone=zone,
            record_name=f"{domain.name}.",
            target=route53.RecordTarget.from_alias(targets.LoadBalancerTarget(self.load_balancer)),
        )
        self.origin = f"wss://{domain.name}"
