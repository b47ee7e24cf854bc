"""Secrets by reference: read from Secrets Manager through Powertools, kept for a minute, and never written anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from typing import Any

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

MAX_AGE_SECONDS = 60
FAILED_SECONDS = 10
"""How long a reload that failed is not repeated: one that gets no answer takes five seconds of a caller's waiting."""


class SecretUnusable(RuntimeError):  # noqa: N818 - it names what the secret is
    """The secret cannot be read, or has not its form; the text names it and never its content."""


class Secret:
    """One secret, a JSON object, by name; `now` in seconds.

    When a reload fails, or brings what lacks one of the texts that are `needed`, the last good content stays in use and
    `tell` is told why.
    """

    def __init__(
        self,
        name: str,
        client: Any,
        now: Callable[[], float] = time.monotonic,
        *,
        needed: Collection[str] = (),
        tell: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._name = name
        self._needed = needed
        self._tell = tell
        self._provider = SecretsProvider(boto3_client=client)
        self._last: dict[str, object] = {}
        self._now = now
        self._failed_at = float("-inf")

    def read(self) -> dict[str, object]:
        """The object as of at most a minute ago.

        Raises:
            SecretUnusable: there is none, or it has not its form.
        """
        if self._last and self._now() - self._failed_at < FAILED_SECONDS:
            return self._last
        content, why = self._load()
        if not why:
            self._last = content
            return content
        self._failed_at = self._now()
        self._tell(why)
        if self._last:
            return self._last
        raise SecretUnusable(f"secret {self._name}: {why}")

    def _load(self) -> tuple[dict[str, object], str]:
        """What the store has now, and what is wrong with it."""
        try:
            content = json.loads(str(self._provider.get(self._name, max_age=MAX_AGE_SECONDS)))
        except (GetParameterError, ValueError, RecursionError) as error:
            return {}, type(error).__name__
        if not isinstance(content, dict):
            return {}, "it is not a JSON object"
        missing = [name for name in self._needed if not _text(content, name)]
        return content, f"it has no {' and no '.join(missing)}" if missing else ""

    def forget(self) -> None:
        """Keep nothing: the next `read` asks Secrets Manager, or fails."""
        self._provider.clear_cache()  # type: ignore[no-untyped-call]  # Powertools' own has no annotation
        self._last = {}
        self._failed_at = float("-inf")


AUTH_TOKENS, REST_CREDENTIALS = ("current",), ("username", "password")
"""What is `needed` of the two secrets below."""


def auth_tokens(secret: Secret) -> list[str]:
    """Twilio's auth token, and during a rotation the one before.

    Raises:
        SecretUnusable: there is no current one.
    """
    content = secret.read()
    current, previous = _text(content, "current"), _text(content, "previous")
    if not current:
        raise SecretUnusable("the auth token secret has no 'current'")
    return [current, previous] if previous else [current]


def rest_credentials(secret: Secret) -> tuple[str, str]:
    """(username, password) for Twilio's REST API.

    Raises:
        SecretUnusable: one of them is missing.
    """
    content = secret.read()
    username, password = _text(content, "username"), _text(content, "password")
    if not username or not password:
        raise SecretUnusable("the REST secret needs 'username' and 'password'")
    return username, password


def _text(content: dict[str, object], name: str) -> str:
    """A field's text; "" if it is none. Nothing but a text counts: with a guessable key anybody could sign."""
    value = content.get(name)
    return value.strip() if isinstance(value, str) else ""
