from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.errors import CommandError
from cli.keys import OPENAI, TWILIO, Keys, from_json, unseen

CANARY = "canary7c1f"
_NAMES = [one.name for one in fields(Keys)]
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.just(CANARY),
    st.text(max_size=8).map(lambda text: text + CANARY),
    st.lists(st.just(CANARY)),
    st.just("AC" + "0" * 32),
)


@given(content=st.dictionaries(st.sampled_from([*_NAMES, CANARY]), _VALUES))
def test_S12_whatever_object_is_given_its_values_are_in_no_error_and_no_repr(content: dict[str, Any]) -> None:
    try:
        keys = from_json(json.dumps(content))
        shown = repr(Keys(**{name: CANARY for name in _NAMES if "sid" not in name}))
        keys.check(TWILIO + OPENAI)
    except CommandError as error:
        shown = str(error)
    assert CANARY not in shown


@given(text=st.text())
def test_S12_whatever_text_is_given_it_is_keys_or_an_error_without_it(text: str) -> None:
    try:
        shown = repr(from_json(text))
    except CommandError as error:
        shown = error.fix
    assert "account_sid" in shown


def test_S12_a_key_that_a_server_repeats_is_hidden() -> None:
    keys = Keys(auth_token=CANARY)
    with pytest.raises(CommandError) as raised, unseen(keys):
        raise CommandError("what", f"the server says {CANARY}", CANARY)
    assert CANARY not in str(raised.value)
    with pytest.raises(CommandError, match=CANARY):
        raise CommandError("what", f"the server says {CANARY}", "fix")
