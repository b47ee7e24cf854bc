"""A link opens one call for some minutes, and whoever changes a character of it sees nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import stream
from contracts.screen_pop import Link, LinkRefused, mint, opened

CALL_SID, KEY, NOW = "CA" + "7e" * 16, "an auth token for tests", 1_795_000_000
TOKEN = mint(CALL_SID, NOW + 900, KEY)


def test_a_link_opens_its_call_until_it_expires() -> None:
    assert opened(TOKEN, [KEY], NOW + 899.9) == CALL_SID
    with pytest.raises(LinkRefused) as refused:
        opened(TOKEN, [KEY], NOW + 900)
    assert refused.value.expired


def test_R34_a_link_that_was_made_before_a_rotation_opens_after_it() -> None:
    assert opened(TOKEN, ["a newer token", KEY], NOW) == CALL_SID
    with pytest.raises(LinkRefused):
        opened(TOKEN, ["a newer token", "another"], NOW)


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_with_one_character_changed_a_link_opens_nothing_and_is_not_called_expired(at: int, by: str) -> None:
    changed = TOKEN[:at] + by + TOKEN[at + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises(LinkRefused) as refused:
        opened(changed, [KEY], NOW)
    assert not refused.value.expired


@given(st.text())
def test_anything_else_opens_nothing(token: str) -> None:
    with pytest.raises(LinkRefused):
        opened(token, [KEY], NOW)


def test_a_proof_for_another_purpose_opens_nothing() -> None:
    proof = stream.mint(CALL_SID, NOW + 900, "", KEY).rpartition("-")[2]
    with pytest.raises(LinkRefused):
        opened(f"{CALL_SID[2:]}.{NOW + 900}.{proof[:43]}", [KEY], NOW)


@given(st.dictionaries(st.sampled_from(["version", "kind", "call_sid", "url", "expires"]), st.none() | st.text()))
def test_a_queue_message_of_another_form_is_no_link(fields: dict[str, object]) -> None:
    assert Link.read(fields) is None
