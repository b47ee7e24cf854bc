"""Where a stage's keys lie: three secrets and a parameter; which are missing, and how a change replaces them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from cli.deployment import Deployment, asking_aws, code_of
from cli.keys import Keys


class KeyStore:
    """The stored keys of one deployment. Every method raises `CommandError` if AWS cannot be asked."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._settings = deployment.settings

    @property
    def _manager(self) -> Any:
        return self._deployment.aws("secretsmanager")

    @property
    def account_sid(self) -> str:
        """The stored account SID, or ""."""
        return self._deployment.parameter(self._settings.account_sid_parameter) or ""

    def missing(self) -> list[str]:
        """A line for each thing that is not there, or not in the form that the deployed parts need."""
        settings, deployment = self._settings, self._deployment
        rest = deployment.secret_object(settings.rest_secret)
        found = {
            f"secret {settings.auth_token_secret}": _text(
                deployment.secret_object(settings.auth_token_secret), "current"
            ),
            f"secret {settings.rest_secret}": _text(rest, "username") and _text(rest, "password"),
            f"secret {settings.openai_secret}": bool((deployment.secret(settings.openai_secret) or "").strip()),
            f"parameter {settings.account_sid_parameter}": bool(self.account_sid.strip()),
        }
        return [name for name, there in found.items() if not there]

    def put_twilio(self, keys: Keys, *, forget_previous: bool) -> bool:
        """Store account SID, token and REST credential; whether the token changed.

        The account SID comes last: until then a repetition sees that the account changes, and that the token which
        is stored is another account's.
        """
        settings = self._settings
        same_account = self.account_sid in {"", keys.account_sid}
        stored = self._deployment.secret_object(settings.auth_token_secret) if same_account else {}
        token = rotated(stored, keys.auth_token, forget_previous=forget_previous)
        changed = self._put(settings.auth_token_secret, json.dumps(token))
        username, password = keys.rest_credential
        self._put(settings.rest_secret, json.dumps({"username": username, "password": password}))
        name = settings.account_sid_parameter
        if self.account_sid != keys.account_sid:
            with asking_aws(f"parameter {name}"):
                self._deployment.aws("ssm").put_parameter(
                    Name=name, Value=keys.account_sid, Type="String", Overwrite=True
                )
        return changed

    def put_openai(self, keys: Keys) -> bool:
        """Store the model's key; whether it changed."""
        return self._put(self._settings.openai_secret, keys.openai_api_key)

    def delete(self) -> None:
        """Delete everything, beyond recovery; what is not there is no error."""
        settings = self._settings
        for name in (settings.openai_secret, settings.rest_secret, settings.auth_token_secret):
            with asking_aws(f"secret {name}"):
                self._manager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        with asking_aws(f"parameter {settings.account_sid_parameter}"):
            self._deployment.aws("ssm").delete_parameters(Names=[settings.account_sid_parameter])

    def _put(self, name: str, value: str) -> bool:
        if self._deployment.secret(name) == value:
            return False
        with asking_aws(f"secret {name}"):
            try:
                if self._manager.describe_secret(SecretId=name).get("DeletedDate"):  # scheduled for deletion
                    self._manager.restore_secret(SecretId=name)
                self._manager.put_secret_value(SecretId=name, SecretString=value)
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
                self._manager.create_secret(Name=name, SecretString=value)
        return True


def rotated(stored: Mapping[str, Any], token: str, *, forget_previous: bool) -> dict[str, str]:
    """What the auth token's secret shall hold: a new token beside the one it replaces.

    Twilio signs with one of them only, from one moment to the next, and requests under way are signed with the other:
    https://www.twilio.com/docs/iam/api/authtoken
    """
    current, previous = stored.get("current"), stored.get("previous")
    replaced = previous if current == token else current
    if forget_previous or not isinstance(replaced, str) or replaced in {"", token}:
        return {"current": token}
    return {"current": token, "previous": replaced}


def _text(content: Mapping[str, Any], name: str) -> bool:
    return isinstance(content.get(name), str) and bool(content[name])
