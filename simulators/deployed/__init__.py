"""The true `cdk deploy`, into an AWS emulator on this machine, and the neighbours that call what was deployed.

`Deployment` is the whole of it; what it leaves out, compared with an account, stands in `infra/emulated.py`.
"""

from __future__ import annotations

from simulators.deployed.deployment import Deployment, Keys, deployment
from simulators.deployed.ecs_agent import BLOCKED, EcsAgent

__all__ = ["BLOCKED", "Deployment", "EcsAgent", "Keys", "deployment"]
