"""The patches still apply, and every criterion has one or a sentence that says why not. Running them is a command."""

from __future__ import annotations

import pytest

from tests.sabotage.__main__ import ROOT
from tests.sabotage.patches import PATCHES, WITHOUT, Patch
from tests.test_criteria import ROWS


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: f"{patch.row} {patch.control}")
def test_a_patch_applies_exactly_once_and_its_test_is_there(patch: Patch) -> None:
    assert (ROOT / patch.file).read_text(encoding="utf-8").count(patch.old) == 1
    where, name = patch.test
    assert f"def {name}" in (ROOT / where).read_text(encoding="utf-8")


def test_every_criterion_has_a_patch_or_a_sentence_and_none_has_both() -> None:
    patched = {patch.row for patch in PATCHES}
    assert patched | set(WITHOUT) == {*ROWS}
    assert not patched & set(WITHOUT)
