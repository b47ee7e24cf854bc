"""From a transcript to shapes, at a known cost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay import phrases, promises
from containers.media_relay.wording import LONGEST, MOST_CHARACTERS, Lexicon, Reader, words

LEXICON = Lexicon(
    {"T": "talk, have a word", "P": "person", "d": "to, a", ",": "but", "WT": "insist on talking", "": "um"}
)
NAMES = {"billing": "the billing team", "support": "den technischen Dienst", "front_desk": "our front desk"}
HOSTILE = [
    "i want to " * 1000,
    "talk to a real live actual human " * 300,
    "," * 10_000,
    "." * 10_000,
    "a" * 10_000,
    "ich möchte mit einem mit einem " * 320,
    "\u0301" * 10_000,
    "\ufdfa" * 10_000,  # one character that NFKC makes eighteen of
    "can you can you get get to to " * 330,
]


def shapes(text: str, *extra: str) -> list[str]:
    return [sentence.shape for sentence in Reader([LEXICON], NAMES, extra).sentences(text)]


def test_each_word_becomes_the_letter_of_its_role_and_any_other_a_dot() -> None:
    assert shapes("Talk to a green person!") == ["Tdd.P"]


def test_the_longest_phrase_wins_and_may_stand_for_two_letters() -> None:
    assert shapes("have a word") == ["T"]
    assert shapes("I insist on talking") == [".WT"]


def test_words_that_change_nothing_vanish_and_breaks_in_a_row_are_one() -> None:
    assert shapes("talk, um, but to a person") == ["T,ddP"]


def test_sentences_are_read_one_by_one_and_questions_are_known() -> None:
    read = list(Reader([LEXICON], NAMES).sentences("Talk. A person? ¿Person?"))
    assert [(one.shape, one.question) for one in read if one.shape] == [("T", False), ("dP", True), ("P", True)]


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("the billing team", "billing"),
        ("billing", "billing"),
        ("technischer Dienst", "support"),
        ("zum technischen Dienst", "support"),
        ("support", "support"),
        ("FRONT DESK", "front_desk"),
        ("the front", "front_desk"),
        ("the desk", ""),
    ],
)
def test_a_destination_is_known_by_its_name_the_telling_part_of_it_or_its_key(said: str, key: str) -> None:
    (sentence,) = Reader([LEXICON], NAMES).sentences(said)
    assert sentence.named(0, len(sentence.shape)) == key
    assert ("D" in sentence.shape) == bool(key)


def test_phrases_of_a_business_have_their_own_letter() -> None:
    assert shapes("Now connect me, Scotty", "beam me up", "connect me") == [".X,."]


def test_spelling_case_apostrophes_and_accents_do_not_matter_where_they_change_no_meaning() -> None:
    assert words("I'd  LIKE, don\u2019t") == ("id", "like", "dont")
    assert words("Möchte für") == words("moechte fuer")
    assert words("¿Facturación?") == ("facturacion",)
    assert words("sí") != words("si")


def test_a_sentence_is_read_in_the_language_it_is_in_and_in_both_if_that_is_open() -> None:
    german = Lexicon({"W": "will, ich", "P": "person"})
    english = Lexicon({".": "i", "F": "will", "P": "person", "T": "talk"})
    reader = Reader([english, german], {})
    assert [one.shape for one in reader.sentences("I will talk")] == [".FT"]
    assert [one.shape for one in reader.sentences("ich will")] == ["WW"]
    assert [one.shape for one in reader.sentences("person")] == ["P", "P"]


def test_only_the_end_of_a_long_turn_is_read() -> None:
    assert shapes("talk. " + "x" * MOST_CHARACTERS) == ["."]
    assert shapes("x" * 5 * MOST_CHARACTERS + ". Talk.")[-1] == "T"


class _Counting(dict[tuple[str, ...], str]):
    lookups = 0

    def get(self, key: tuple[str, ...], default: object = None) -> object:  # type: ignore[override] # counts only
        self.lookups += 1
        return super().get(key)


@pytest.mark.parametrize("text", HOSTILE)
def test_reading_takes_a_bounded_number_of_lookups_whatever_is_said(text: str) -> None:
    lexicon = Lexicon({})
    lexicon.roles = counting = _Counting(LEXICON.roles)
    assert len(text) >= 9_000
    for sentence in Reader([lexicon], NAMES).sentences(text):
        assert len(sentence.shape) <= MOST_CHARACTERS
    assert counting.lookups <= LONGEST * MOST_CHARACTERS


def _rules() -> Iterator[str]:
    yield from (rule.pattern for rule in [*phrases.RULES, *promises.RULES])


def _ways(pattern: str) -> int:
    """At most so many ways to try a pattern at one place: the product of what its repeats leave open."""
    ways: int = 1
    for least, most in re.findall(r"\{(\d+),(\d+)\}", pattern):
        ways *= int(most) - int(least) + 1
    return ways << len(re.findall(r"(?<!\()\?", pattern))


@pytest.mark.parametrize("lexicons", [phrases.LEXICONS, promises.LEXICONS])
def test_no_phrase_has_two_roles_and_none_is_longer_than_is_looked_for(lexicons: dict[str, dict[str, str]]) -> None:
    for roles in lexicons.values():
        known = [words(phrase) for several in roles.values() for phrase in several.split(",")]
        assert len(known) == len(set(known))
        assert all(0 < len(phrase) <= LONGEST for phrase in known)


def test_every_rule_repeats_within_bounds_and_never_inside_a_repeat() -> None:
    for pattern in _rules():
        assert not re.search(r"[*+]|\{\d*,\}", pattern), pattern
        assert not re.search(r"\)[{*+?]", pattern), pattern


def test_all_rules_together_try_a_bounded_number_of_ways_at_one_place() -> None:
    assert _ways("a{0,4}b?") == 10
    assert sum(map(_ways, _rules())) < 20_000


@given(st.text(max_size=3000))
def test_any_text_can_be_read(text: str) -> None:
    for sentence in Reader([LEXICON], NAMES).sentences(text):
        assert len(sentence.shape) == len(sentence.keys)
        assert ",," not in sentence.shape
        assert {key for key in sentence.keys if key} <= NAMES.keys()
