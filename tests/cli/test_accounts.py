from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import NoCredentialsError

from cli.checks.accounts import CHECKS
from cli.checks.check import Mark
from cli.errors import CommandError
from tests.cli.health import Healthy, ask

BY_NAME = {check.name: check for check in CHECKS}


def test_without_credentials_the_repair_is_to_sign_in() -> None:
    class Stranger(Healthy):
        def aws(self, service: str) -> object:
            raise NoCredentialsError

    finding = ask(BY_NAME["AWS account"], Stranger())
    assert (finding.mark, finding.text) == (Mark.BAD, "there are no credentials")


@pytest.mark.parametrize(
    ("version", "expected"), [("29", Mark.GOOD), ("5", Mark.BAD), ("x", Mark.BAD), (None, Mark.BAD)]
)
def test_the_account_must_be_bootstrapped(version: str | None, expected: Mark) -> None:
    line = Healthy()
    line.parameters.pop("/cdk-bootstrap/hnb659fds/version")
    if version:
        line.parameters["/cdk-bootstrap/hnb659fds/version"] = version
    finding = ask(BY_NAME["CDK bootstrap"], line)
    assert finding.mark is expected
    if expected is Mark.BAD:
        assert finding.repair == "npx cdk bootstrap aws://123456789012/eu-central-1"


def test_S26_what_is_not_stored_is_named() -> None:
    line = Healthy()
    line.stored.clear()
    assert ask(BY_NAME["secrets"], line).data["missing"] == ["auth token", "REST credential", "OpenAI key"]
    line.parameters.clear()
    assert ask(BY_NAME["secrets"], line).data["missing"][0] == "account SID"
    assert ask(BY_NAME["secrets"], Healthy()).mark is Mark.GOOD


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        ("active", "Full", Mark.GOOD),
        ("active", "Trial", Mark.WARNING),
        ("suspended", "Full", Mark.BAD),
        ("closed", "Full", Mark.BAD),
    ],
)
def test_the_account_must_be_active(status: str, kind: str, expected: Mark) -> None:
    line = Healthy()
    line.account = SimpleNamespace(status=status, type=kind)
    assert ask(BY_NAME["Twilio account"], line).mark is expected


def test_the_auth_token_as_rest_credential_is_doubtful() -> None:
    line = Healthy()
    line.username = "AC" + "0" * 32
    assert ask(BY_NAME["Twilio REST"], line).mark is Mark.WARNING


def test_a_model_that_cannot_be_had_is_bad() -> None:
    class Moneyless(Healthy):
        def open_model(self) -> None:
            raise CommandError("OpenAI", "the quota is used up", "check billing")

    assert ask(BY_NAME["OpenAI session"], Moneyless()).repair == "check billing"
