"""The CDK app: `cdk synth -c stage=dev`. Offline; the only context is the stage's name."""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra import assets, settings
from infra.acknowledgements import acknowledge
from infra.stack import Patchthrough

ROOT = Path(__file__).resolve().parent.parent


def compose(app: cdk.App, stage: settings.Settings, bundles: assets.Bundles) -> Patchthrough:
    """Put the stage's stack into the app, with its tags and its checks."""
    stack = Patchthrough(app, "Patchthrough", settings=stage, bundles=bundles)
    cdk.Tags.of(app).add("project", "patchthrough")
    cdk.Tags.of(app).add("stage", stage.stage)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return stack


def main() -> None:
    """Synthesise the stage named by the context, or stop with one line that says what to change."""
    app = cdk.App()
    try:
        stage = settings.load(ROOT, str(app.node.try_get_context("stage") or "dev"))
        acknowledge(compose(app, stage, assets.Bundles(root=ROOT, agent_file=stage.agent_file)))
    except (settings.SettingsError, assets.BundleError) as error:
        sys.exit(str(error))
    app.synth()


if __name__ == "__main__":
    main()
