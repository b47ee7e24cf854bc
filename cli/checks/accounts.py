"""The stage's settings and the three accounts it lives on: AWS, Twilio and OpenAI. Nothing here needs a deploy."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import NoCredentialsError

from cli.checks.check import Check, Finding, bad, good, warning
from cli.checks.neighbours import Neighbours
from cli.twilio_api import asking_twilio

BOOTSTRAP = 6
"""The oldest bootstrap stack that our template accepts; the CDK writes the same rule into it."""
_BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
_SIGN_IN = "aws configure (or set AWS_PROFILE and AWS_DEFAULT_REGION)"


def settings(neighbours: Neighbours) -> Finding:
    """The stage's file and the agent's."""
    stage = neighbours.settings
    people = len(stage.agent.destinations)
    text = f"config/{stage.stage}.yaml and {stage.agent_file}: {people} destinations, {stage.agent.model}"
    return good(text, stage=stage.stage, model=stage.agent.model)


def aws_account(neighbours: Neighbours) -> Finding:
    """Who we are at AWS, and where."""
    try:
        who = neighbours.aws("sts").get_caller_identity()
    except NoCredentialsError:
        return bad("there are no credentials", _SIGN_IN)
    account, region = str(who["Account"]), neighbours.region()
    return good(f"{account} in {region}", account=account, region=region, arn=who.get("Arn", ""))


def bootstrap(neighbours: Neighbours) -> Finding:
    """The CDK's own stack in the account."""
    account = neighbours.aws("sts").get_caller_identity()["Account"]
    command = f"npx cdk bootstrap aws://{account}/{neighbours.region()}"
    version = neighbours.parameter(_BOOTSTRAP_PARAMETER)
    if version is None:
        return bad("this account and region are not bootstrapped for the CDK", command)
    if not version.isdigit() or int(version) < BOOTSTRAP:
        return bad(f"version {version} is too old; {BOOTSTRAP} is needed", command, version=version)
    return good(f"version {version}", version=int(version))


def secrets(neighbours: Neighbours) -> Finding:
    """Everything that is stored by hand, by name."""
    stage = neighbours.settings
    named = {
        "account SID": neighbours.parameter(stage.account_sid_parameter),
        "auth token": neighbours.secret(stage.auth_token_secret),
        "REST credential": neighbours.secret(stage.rest_secret),
        "OpenAI key": neighbours.secret(stage.openai_secret),
    }
    missing = [name for name, value in named.items() if not value]
    if missing:
        return bad(f"not stored: {', '.join(missing)}", _set(neighbours), missing=missing)
    return good("all are stored", missing=[])


def twilio_account(neighbours: Neighbours) -> Finding:
    """The account, asked with the auth token."""
    with asking_twilio("Twilio's auth token", _set(neighbours, "twilio")):
        account: Any = neighbours.twilio_by_token().api.v2010.account.fetch()
    state, kind = str(account.status), str(account.type)
    if state != "active":
        return bad(f"the account is {state}", "see https://console.twilio.com", status=state, type=kind)
    if kind.lower() == "trial":
        # Trial accounts play a message of their own first, and were seen to drop <Stream>:
        # https://www.twilio.com/docs/usage/tutorials/how-to-use-your-free-trial-account
        text = "it is a trial account: callers hear Twilio's notice, and may never hear the agent"
        return warning(text, "upgrade at https://console.twilio.com", status=state, type=kind)
    return good(f"active ({kind})", status=state, type=kind)


def twilio_rest(neighbours: Neighbours) -> Finding:
    """The credential that updates calls, asked for something it may read."""
    with asking_twilio("Twilio's REST credential", _set(neighbours, "twilio")):
        client = neighbours.twilio()
        client.incoming_phone_numbers.list(limit=1)
    if str(client.username).startswith("SK"):
        return good("an API key")
    return warning("it is the auth token itself; an API key can be revoked alone", _set(neighbours, "twilio"))


def openai(neighbours: Neighbours) -> Finding:
    """The agent's session, opened as the relay does it, and closed before anything is billed."""
    neighbours.open_model()
    model = neighbours.settings.agent.model
    return good(f"{model} answers in mu-law", model=model)


def _set(neighbours: Neighbours, which: str = "") -> str:
    return " ".join(f"./patchthrough secrets set {which} --stage {neighbours.stage}".split())


_SET = "./patchthrough secrets set"
CHECKS = (
    Check("settings", settings, "./patchthrough config validate"),
    Check("AWS account", aws_account, _SIGN_IN, needs=("settings",)),
    Check("CDK bootstrap", bootstrap, "npx cdk bootstrap", needs=("AWS account",)),
    Check("secrets", secrets, _SET, needs=("AWS account",)),
    Check("Twilio account", twilio_account, f"{_SET} twilio", needs=("secrets",), seconds=30),
    Check("Twilio REST", twilio_rest, f"{_SET} twilio", needs=("secrets",), seconds=30),
    Check("OpenAI session", openai, f"{_SET} openai", needs=("secrets",)),
)
