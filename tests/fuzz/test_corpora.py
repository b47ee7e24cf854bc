"""Every input that a fuzzer found worth keeping, again; and that a reader which raises is noticed."""

from __future__ import annotations

import pytest

from tests.fuzz.targets import TARGETS, corpus, queue_message


@pytest.mark.parametrize("name", TARGETS)
def test_S18_what_a_fuzzer_has_found_is_read_or_refused_and_nothing_else(name: str) -> None:
    inputs = corpus(name)
    assert len(inputs) > 20
    for one in inputs:
        TARGETS[name](one)


def test_S18_a_target_raises_what_its_reader_does_not_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: str) -> None:
        raise RecursionError

    monkeypatch.setattr("tests.fuzz.targets.transfer.read", read)
    with pytest.raises(RecursionError):
        queue_message(b"{}")
