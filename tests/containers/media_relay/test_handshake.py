"""Twilio's signature of the upgrade."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from containers.media_relay.handshake import signed_by_twilio

ORIGIN, PATH, KEY = "wss://media.example.com", "/media/abc", "0123456789abcdef"


def signature(url: str, key: str = KEY) -> str:
    return str(RequestValidator(key).compute_signature(url, {}))


def test_S5_the_forms_of_the_url_that_twilio_has_been_seen_to_sign_are_accepted() -> None:
    for url in (ORIGIN + PATH, ORIGIN + PATH + "/", f"{ORIGIN}:443{PATH}", f"{ORIGIN}:443{PATH}/"):
        assert signed_by_twilio(ORIGIN, PATH, [signature(url)], [KEY])
    assert signed_by_twilio("ws://127.0.0.1:8081", PATH, [signature(f"ws://127.0.0.1:8081{PATH}")], [KEY])
    assert signed_by_twilio("ws://local", PATH, [signature(f"ws://local:80{PATH}")], [KEY])


def test_S5_any_other_url_key_or_number_of_signatures_is_not() -> None:
    good = signature(ORIGIN + PATH)
    for url in (
        "https://media.example.com" + PATH,
        ORIGIN + PATH + "?a=b",
        ORIGIN + "/media/abd",
        f"{ORIGIN}:80{PATH}",
        "wss://evil" + PATH,
    ):
        assert not signed_by_twilio(ORIGIN, PATH, [signature(url)], [KEY])
    assert not signed_by_twilio("ws://127.0.0.1:8081", PATH, [signature(f"ws://127.0.0.1:443{PATH}")], [KEY])
    assert not signed_by_twilio(ORIGIN, PATH, [], [KEY])
    assert not signed_by_twilio(ORIGIN, PATH, [good, good], [KEY])
    assert not signed_by_twilio(ORIGIN, PATH, ["é" * 28], [KEY])
    assert not signed_by_twilio(ORIGIN, PATH, [good], [])
    assert not signed_by_twilio(ORIGIN, PATH, [signature(ORIGIN + PATH, "other")], [KEY])


def test_R34_the_key_before_counts_while_keys_are_rotated() -> None:
    assert signed_by_twilio(ORIGIN, PATH, [signature(ORIGIN + PATH, "before")], [KEY, "before"])


@given(st.text())
def test_S5_no_text_but_the_signature_is_accepted(text: str) -> None:
    assert not signed_by_twilio(ORIGIN, PATH, [text], [KEY]) or text == signature(ORIGIN + PATH)
