"""Secrets by reference: read from Secrets Manager through Powertools, kept for a minute, and never written anywhere."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

MAX_AGE_SECONDS = 60


class SecretUnusable(RuntimeError):  # noqa: N818 - it names what the secret is
    """The secret cannot be read, or has not its form; the text names it and never its content."""


class Secret:
    """One secret, a JSON object, by name. When a reload fails the last good content stays in use."""

    def __init__(self, name: str, client: Any) -> None:
        self._name = name
        self._provider = SecretsProvider(boto3_client=client)
        self._last: dict[str, object] = {}

    def read(self) -> dict[str, object]:
        """The object as of at most a minute ago.

        Raises:
            SecretUnusable: there is none, or it is not a JSON object.
        """
        try:
            content = json.loads(str(self._provider.get(self._name, max_age=MAX_AGE_SECONDS)))
        except (GetParameterError, ValueError, RecursionError) as error:
            if self._last:
                return self._last
            raise SecretUnusable(f"secret {self._name}: {type(error).__name__}") from None
        if not isinstance(content, dict):
            raise SecretUnusable(f"secret {self._name} is not a JSON object")
        self._last = content
        return content


def auth_tokens(secret: Secret) -> list[str]:
    """Twilio's auth token, and during a rotation the one before.

    Raises:
        SecretUnusable: there is no current one.
    """
    content = secret.read()
    tokens = [str(content[name]) for name in ("current", "previous") if content.get(name)]
    if not content.get("current"):
        raise SecretUnusable("the auth token secret has no 'current'")
    return tokens


def rest_credentials(secret: Secret) -> tuple[str, str]:
    """(username, password) for Twilio's REST API.

    Raises:
        SecretUnusable: one of them is missing.
    """
    content = secret.read()
    if not content.get("username") or not content.get("password"):
        raise SecretUnusable("the REST secret needs 'username' and 'password'")
    return str(content["username"]), str(content["password"])
