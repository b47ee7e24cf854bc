"""What cdk-nag's AwsSolutions finds and we mean: each finding, with the sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Stack, Validations
from constructs import IConstruct

_RUNTIME = {"AwsSolutions-L1": "Python 3.13 is the version that the tests run on; 3.14 follows when they do."}
_DISTRIBUTION = {
    "AwsSolutions-CFR1": "Twilio connects, from wherever it has a media region; every socket needs its signature.",
    "AwsSolutions-CFR2": "A firewall sees the handshake only, and the relay checks that twice before it answers.",
    "AwsSolutions-CFR3": "The path holds a one-time token, which belongs in no log; the relay logs every handshake.",
    "AwsSolutions-CFR4": "CloudFront fixes the protocol of its default certificate; a domain is a setting.",
}
_BALANCER = {
    "AwsSolutions-ELB2": "The path holds a one-time token, which belongs in no log; the relay logs every handshake.",
    "AwsSolutions-EC23": "With a domain of its own the socket is open to all: Twilio has no fixed addresses.",
}
_TASKS = (
    "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:task/<RelayCluster6ADB58DA>/*]"
)

# Construct paths below the stack.
ACKNOWLEDGED: Mapping[str, Mapping[str, str]] = {
    "Network/Vpc": {
        "AwsSolutions-VPC7": "Fifty packets a second and call, all to known ends: the relay's own log says more."
    },
    "Edge/LoadBalancer": _BALANCER,
    "Edge/SecurityGroup": _BALANCER,
    "Edge/Distribution": _DISTRIBUTION,
    "Edge/PrefixList": {
        "AwsSolutions-IAM5[Resource::*]": "ec2:DescribeManagedPrefixLists reads public names and knows no resources."
    },
    "Relay/Task/ExecutionRole": {
        "AwsSolutions-IAM5[Resource::*]": "ecr:GetAuthorizationToken knows no resources; pulling names the repository."
    },
    "Relay/Task/TaskRole": {_TASKS: "A task cannot know its own identifier before it runs; the cluster has no others."},
    "Relay/Task": {"AwsSolutions-ECS2": "The variables are names and numbers; secrets are read by name at run time."},
    "Webhook/Api": {"AwsSolutions-APIG4": "Twilio cannot log in: the function checks its signature on every request."},
    "Webhook/Answers/Function": {
        **_RUNTIME,
        "Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish": "The API calls the alias of a published version.",
    },
    "Transfers/Transfer/Function": _RUNTIME,
    "Transfers/LastResort/Function": _RUNTIME,
    "Messages/Deliver/Function": _RUNTIME,
    "LiveConfig/AlarmRole": {
        "AwsSolutions-IAM5[Resource::*]": "AppConfig asks for all alarms at once, and only for what they say."
    },
    "Messages/Secret": {"AwsSolutions-SMG4": "The receiver holds a copy, which nobody but its owner can replace."},
}


def acknowledge(stack: Stack) -> None:
    """Attach every acknowledgement to its construct, as far as this stage has it."""
    for path, rules in ACKNOWLEDGED.items():
        construct: IConstruct | None = stack
        for name in path.split("/"):
            construct = construct.node.try_find_child(name) if construct else None
        if construct:
            # `Validations.acknowledge` refuses identifiers with an ARN in them, which the checks look up all the same.
            construct.node.add_metadata(Validations.ACKNOWLEDGED_RULES_METADATA_KEY, dict(rules))
