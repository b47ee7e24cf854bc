from __future__ import annotations

import pytest

from contracts.sentences import LANGUAGES, Sentence, as_written, family, spoken

NAMED = {Sentence.CONNECTING, Sentence.CLOSED, Sentence.CALLER_FOR}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_there_in_every_language_and_names_whom_it_must(language: str) -> None:
    for sentence in Sentence:
        said = spoken(sentence, language, name="{desk}")
        assert said.text
        assert ("{desk}" in said.text) == (sentence in NAMED), sentence
        assert said.language.startswith(language)


def test_no_two_languages_share_a_sentence() -> None:
    for sentence in Sentence:
        assert len({spoken(sentence, language).text for language in LANGUAGES}) == len(LANGUAGES)


@pytest.mark.parametrize(("asked", "ours"), [("de", "de"), ("de-AT", "de"), ("it", "en"), ("en-GB", "en")])
def test_a_region_speaks_its_language_and_an_unknown_language_english(asked: str, ours: str) -> None:
    assert family(asked) == ours
    assert spoken(Sentence.NOBODY, asked) == spoken(Sentence.NOBODY, ours)
    assert as_written("Moin", asked) == ("Moin", spoken(Sentence.NOBODY, ours).language)
