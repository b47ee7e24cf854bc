"""The two secrets."""

from __future__ import annotations

import pytest

from containers.media_relay import keys


def read(token: str, key: str = "sk") -> keys.Keys:
    return keys.read({"token": token, "key": key}.__getitem__, "token", "key")


@pytest.mark.parametrize(
    ("secret", "tokens"),
    [
        ("plain\n", ("plain",)),
        ('{"current": "new"}', ("new",)),
        ('{"current": "new", "previous": "old"}', ("new", "old")),
        ('{"current": "new", "previous": null}', ("new",)),
    ],
)
def test_R34_a_secret_is_a_text_or_the_current_and_the_previous_value(secret: str, tokens: tuple[str, ...]) -> None:
    assert read(secret).auth_tokens == tokens
    assert read("t", secret).openai_key == tokens[0]


@pytest.mark.parametrize(
    "secret", ["", " ", "{", "{}", '{"current": ""}', '{"current": 5}', '{"current":"a","previous":5}', '{"a":' * 5000]
)
def test_a_secret_that_holds_nothing_usable_is_named_and_not_shown(secret: str) -> None:
    with pytest.raises(keys.SecretUnusable, match="token"):
        read(secret)


def test_S12_keys_do_not_show_in_a_representation() -> None:
    assert "canary" not in repr(read("canary"))


@pytest.mark.parametrize("secret", ["null", "true", "false", '""', '" "', "[]", '["a"]'])
def test_S26_a_value_that_stands_for_nothing_is_not_taken_for_a_key_that_anybody_could_guess(secret: str) -> None:
    with pytest.raises(keys.SecretUnusable, match="token"):
        read(secret)
    assert read("12345678901234567890123456789012").auth_tokens == ("12345678901234567890123456789012",)
