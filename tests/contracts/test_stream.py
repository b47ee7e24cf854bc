from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import stream

CALL_SID = "CA" + "0f" * 16
NONCE = "ab" * 16


def test_a_token_is_derived_again_from_the_same_visit_and_read_back_from_its_path() -> None:
    token = stream.mint(CALL_SID, 1, NONCE, "auth token")
    assert token == stream.mint(CALL_SID, 1, NONCE, "auth token")
    assert len(token) == 32 + 1 + 43
    assert stream.parse(f"/media/{token}") == (CALL_SID, token)
    assert len(stream.digest(token)) == 64
    assert token not in stream.digest(token)


def test_S6_another_call_visit_nonce_or_key_gives_another_token() -> None:
    other_call = "CA" + "0e" * 16
    tokens = {
        stream.mint(CALL_SID, 1, NONCE, "auth token"),
        stream.mint(other_call, 1, NONCE, "auth token"),
        stream.mint(CALL_SID, 2, NONCE, "auth token"),
        stream.mint(CALL_SID, 1, "ac" * 16, "auth token"),
        stream.mint(CALL_SID, 1, NONCE, "auth tokem"),
    }
    assert len(tokens) == 5


def test_nonces_do_not_repeat_and_have_128_bits() -> None:
    nonces = {stream.nonce() for _ in range(1000)}
    assert len(nonces) == 1000
    assert {len(nonce) for nonce in nonces} == {32}


TOKEN = stream.mint(CALL_SID, 1, NONCE, "auth token")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        TOKEN,
        "/media/",
        f"/media/{TOKEN}/",
        f"/media/{TOKEN}?a=1",
        f"/media/{TOKEN}\n",
        f"/media/{TOKEN[:-1]}",
        f"/media/{TOKEN.upper()}",
        f"/Media/{TOKEN}",
        f"//media/{TOKEN}",
        f"/media/media/{TOKEN}",
        f"/media/{TOKEN[:40]}é{TOKEN[41:]}",
    ],
)
def test_S5_any_other_path_is_refused(path: str) -> None:
    with pytest.raises(stream.MalformedPath):
        stream.parse(path)


@given(st.text())
def test_no_text_breaks_the_reader_of_paths(path: str) -> None:
    with pytest.raises(stream.MalformedPath):
        stream.parse(path)
