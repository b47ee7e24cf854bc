"""From a transcript to the shape of its sentences, which the rules of `phrases.py` and `promises.py` match. Pure.

A word or fixed phrase becomes the letter of its role (P a person, T to talk, N a negation, …), any other word `.`, a
break inside the sentence `,`; words that change nothing (um, just) vanish. So one rule serves every language, and its
cost is known: a rule repeats within bounds only, and never sees more than `MOST_CHARACTERS` of a turn.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MOST_CHARACTERS = 2000  # of a turn, the last ones: what somebody wants comes at the end of a story
LONGEST = 6  # words of a phrase

_DESTINATION, _EXTRA, _OTHER, _BREAK = "D", "X", ".", ","
_SENTENCE = re.compile(r"[^.!?;…\n¡¿]+[.!?;…]?")
_WORD = re.compile(r"\w+|[,:\u2013\u2014]")
_SPELT = {"ä": "ae", "ö": "oe", "ü": "ue", "sí": "yes"}  # without their accents they would be other words
_ACCENTED = re.compile(r"ä|ö|ü|\bsí\b")
_SILENT = "'`\u2019"  # apostrophes
_ENDING = re.compile(r"(?:e[nmrs]?|[ns])$")
_GENERIC = """
    a an the our your my of to for team department desk office people abteilung das dem den der die unser unsere unseren
    unserem dept de del el la las los equipo departamento nuestro nuestra area
"""  # words of a destination's name that do not tell it from the others

PEOPLE = {
    "en": """
        human, human being, human beings, human agent, human operator, person, representative, rep, agent, operator,
        supervisor, manager, adviser, advisor, advisers, advisors, employee, member of staff, staff member, colleague,
        member of your staff, member of your team, member of our team, member of the team, customer service, live
        agent, customer services, customer support, customer care, customer service representative, customer service
        agent, service representative, service agent, support agent, support representative, colleagues, boss,
        consultant, specialist, clerk, representatives, agents, staff, receptionist, team leader, live human, team
        member, expert
    """,
    "de": """
        menschen, mitarbeiter, mitarbeiterin, mitarbeitern, mitarbeiters, berater, beraterin, beratern, agent,
        kundenberater, kundenberaterin, kollege, kollegen, kollegin, person, sachbearbeiter, sachbearbeiterin,
        operator, agenten, vorgesetzter, vorgesetzte, vorgesetzten, chef, chefin, kundendienst, kundenservice,
        kundenbetreuung, kundenbetreuer, kundenbetreuerin, ansprechpartner, ansprechpartnerin, servicemitarbeiter,
        teamleiter, teamleiterin, servicemitarbeiterin, spezialisten, spezialist, spezialistin, leiter, leiterin
    """,
    "es": """
        persona, humano, humana, ser humano, agente, operador, operadora, representante, asesor, asesora, supervisor,
        supervisora, gerente, encargado, encargada, jefe, jefa, empleado, empleada, companero, companera, companeros,
        ejecutivo, ejecutiva, responsable, atencion al cliente, servicio al cliente, teleoperador, teleoperadora,
        gestor, agente humano, recepcionista, especialista, colega, gestora, agentes
    """,
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in one language: a letter a word, and the key that a `D` in the same place names."""

    shape: str
    keys: tuple[str, ...]
    question: bool

    def named(self, start: int, end: int) -> str:
        """The first destination named in this part of the shape; "" for none."""
        return next((key for key in self.keys[start:end] if key), "")

    def before(self, position: int) -> str:
        """What stands before `position` in the same clause."""
        return self.shape[:position].rpartition(_BREAK)[2]

    def after(self, position: int) -> str:
        """What stands after `position` in the same clause."""
        return self.shape[position:].partition(_BREAK)[0]


class Lexicon:
    """The words of one language: comma-separated phrases by the letter or letters of their role."""

    def __init__(self, phrases: Mapping[str, str]) -> None:
        self.roles = {words(phrase): role for role, several in phrases.items() for phrase in several.split(",")}


class Reader:
    """Reads sentences in the languages it has words for, with the names a business gave its destinations.

    `names`: key of each destination to its spoken name; `extra`: phrases with a letter of their own, `X`.
    """

    def __init__(self, lexicons: Sequence[Lexicon], names: Mapping[str, str], extra: Sequence[str] = ()) -> None:
        self._lexicons = lexicons
        self._names = {called: key for key, name in names.items() for called in _called(key, name)}
        self._extra = {phrase for phrase in map(words, extra) if phrase}
        self._name_sizes = {len(called) for called in self._names}
        self._longest = max([LONGEST, *map(len, self._extra), *map(len, self._names)])

    def sentences(self, transcript: str) -> Iterator[Sentence]:
        """Every sentence in the language that most of its words belong to; in each of them if several do."""
        for match in _SENTENCE.finditer(_plain(transcript)):
            tokens = _tokens(match.group())
            readings = [self._read(tokens, lexicon) for lexicon in self._lexicons]
            most = max(known for known, _ in readings)
            for known, letters in readings:
                if known == most:
                    shape = "".join(letter for letter, _ in letters)
                    yield Sentence(shape, tuple(key for _, key in letters), match.group().endswith("?"))

    def _read(self, tokens: Sequence[str], lexicon: Lexicon) -> tuple[int, list[tuple[str, str]]]:
        """How many words were known, and the letter of each phrase with the key it names."""
        known, letters, at = 0, [("", "")], 0
        while at < len(tokens):
            size, role, key = self._longest_at(tokens, at, lexicon)
            known += size if role != _OTHER else 0
            at += size
            for letter in role:
                if not letter == letters[-1][0] == _BREAK:
                    letters.append((letter, key))
        return known, letters[1:]

    def _longest_at(self, tokens: Sequence[str], at: int, lexicon: Lexicon) -> tuple[int, str, str]:
        for size in range(min(self._longest, len(tokens) - at), 0, -1):
            phrase = tuple(tokens[at : at + size])
            if phrase in self._extra:
                return size, _EXTRA, ""
            if size in self._name_sizes and (key := self._names.get(tuple(map(_stem, phrase)))):
                return size, _DESTINATION, key
            if (role := lexicon.roles.get(phrase)) is not None:
                return size, role, ""
        return 1, _BREAK if tokens[at] == _BREAK else _OTHER, ""


def words(text: str) -> tuple[str, ...]:
    """The words of a text, as they are compared."""
    return tuple(token for token in _tokens(_plain(text)) if token != _BREAK)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text[-MOST_CHARACTERS:]).casefold()[-MOST_CHARACTERS:]
    spelt = _ACCENTED.sub(lambda match: _SPELT[match.group()], folded)
    return "".join(c for c in unicodedata.normalize("NFD", spelt) if c not in _SILENT and not unicodedata.combining(c))


def _tokens(sentence: str) -> list[str]:
    return [token if token.isalnum() else _BREAK for token in _WORD.findall(sentence)]


def _stem(word: str) -> str:
    """A word without the endings of German declension and of plurals."""
    return _ENDING.sub("", word) if len(word) > 4 else word


def _called(key: str, name: str) -> set[tuple[str, ...]]:
    """What people call a destination: its name, the part of it that tells it from others, and its key."""
    spoken, keyed = words(name), words(key.replace("_", " ").replace("-", " "))
    telling = tuple(word for word in spoken if word not in _GENERIC.split())
    return {tuple(map(_stem, called)) for called in (spoken, telling, keyed) if called}
