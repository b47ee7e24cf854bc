"""The relay's two secrets: Twilio's auth token and the model's API key, by name, current and previous."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

REFRESH_SECONDS = 60.0


class SecretUnusable(ValueError):  # noqa: N818 - it names what the secret is
    """A secret holds neither a text nor `{"current": …, "previous": …}`; the text names the secret, never its value."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """`auth_tokens`: the current one and, while it is being rotated, the previous one."""

    auth_tokens: tuple[str, ...]
    openai_key: str


def read(get_secret: Callable[[str], str], auth_token_secret: str, openai_key_secret: str) -> Keys:
    """Read both secrets with `get_secret(name)`, whose errors pass through.

    Raises:
        SecretUnusable: one of them does not hold what it should.
    """
    openai_key = _values(openai_key_secret, get_secret(openai_key_secret))[0]
    return Keys(_values(auth_token_secret, get_secret(auth_token_secret)), openai_key)


def _values(name: str, text: str) -> tuple[str, ...]:
    content: object = text
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
        except ValueError:
            raise SecretUnusable(f"secret {name} is not valid JSON") from None
    if isinstance(content, dict):
        values = tuple(content.get(version) or "" for version in ("current", "previous"))
    else:
        values = (str(content).strip(),)
    if not all(isinstance(value, str) for value in values) or not values[0].strip():
        raise SecretUnusable(f'secret {name} must be a text or {{"current": "…", "previous": "…"}}')
    return tuple(value.strip() for value in values if value.strip())
