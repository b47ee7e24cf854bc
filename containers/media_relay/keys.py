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
    content = _content(name, text)
    values: tuple[object, ...] = (content,)
    if isinstance(content, dict):
        values = tuple(content.get(version) or "" for version in ("current", "previous"))
    texts = [value.strip() for value in values if isinstance(value, str)]
    if len(texts) < len(values) or not texts[0]:
        raise SecretUnusable(f'secret {name} must be a text or {{"current": "…", "previous": "…"}}')
    return tuple(one for one in texts if one)


def _content(name: str, text: str) -> object:
    """A JSON value, or the text itself: also of a number, since a token may consist of digits.

    `null` and its like are not taken for a text: with a key that can be guessed anybody could sign.
    """
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith("{"):
            raise SecretUnusable(f"secret {name} is not valid JSON") from None
        return text
    number = isinstance(content, int | float) and not isinstance(content, bool)
    return text if number else content
