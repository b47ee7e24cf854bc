"""What outlives a destroyed stack: `python -m infra.leftovers <stage>` removes what it can and names the rest.

Container insights write a log group of their own, which no stack can own: they would make it first, or make it again.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-reference-performance-logs-ECS.html
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.settings import Settings, SettingsError, load

STAY = (
    "What stays, for every stack of this account and region: the bootstrap stack (CDKToolkit) with its bucket and "
    "image repository, where our bundles and images lie; remove it by hand if nothing else uses it.\n"
    "What goes by itself: DynamoDB's free backup of the ledger, after 35 days; metrics, after 15 months."
)


def insights_log_group(stage: Settings) -> str:
    """Where container insights of the stage's cluster write."""
    return f"/aws/ecs/containerinsights/{stage.cluster_name}/performance"


def remove(stage: Settings, logs: Any) -> bool:
    """Delete the log group, if it is there; returns whether it was.

    Raises:
        botocore.exceptions.ClientError: AWS refuses.
    """
    try:
        logs.delete_log_group(logGroupName=insights_log_group(stage))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        return False
    return True


def main() -> int:
    """Remove and tell; returns the exit status."""
    try:
        stage = load(Path(__file__).resolve().parent.parent, sys.argv[1] if len(sys.argv) > 1 else "dev")
        removed = remove(stage, boto3.client("logs"))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"the log group of container insights cannot be removed: {error}; check the AWS credentials\n")
        return 1
    sys.stdout.write(f"{'Removed' if removed else 'There was no'} log group {insights_log_group(stage)}.\n{STAY}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
