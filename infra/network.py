"""Where the relay's tasks and the load balancer live: two zones, no NAT gateway.

Tasks have public addresses and go straight to the model and to AWS; nothing reaches them but the load balancer.
"""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

PUBLIC = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)


class Network(Construct):
    """A VPC with a public and an isolated subnet in each of two zones.

    `connected`: what needs the internet must depend on these, or a gateway is detached under it when the stack goes:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html
    """

    def __init__(self, scope: Construct, id_: str) -> None:
        super().__init__(scope, id_)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24),
                ec2.SubnetConfiguration(name="Isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=26),
            ],
            # Emptying the default group takes a custom resource; nothing here uses the group.
            restrict_default_security_group=False,
        )
        self.connected = [subnet.internet_connectivity_established for subnet in self.vpc.public_subnets]
