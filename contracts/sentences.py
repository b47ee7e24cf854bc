"""What we say by ourselves, to callers and to the people who are rung, in the languages we have it in.

One table for every voice of ours: `<Say>` in the webhook and the transfer function, the relay's clips, the document
that Twilio hosts. What a business writes (a greeting, a name) is said as it stands, by the same voice.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple


class Sentence(Enum):
    """Each thing that is said; `{name}` in its words is a destination's."""

    RECONNECTING = auto()
    WAITING = auto()
    STILL_HERE = auto()
    CONNECTING = auto()
    HOLD = auto()
    NOBODY = auto()
    CLOSED = auto()
    NOTHING_RECORDED = auto()
    THANKS = auto()
    CALLER_FOR = auto()
    KEYS = auto()
    GONE = auto()
    TAKEN = auto()
    UNREACHABLE = auto()
    ASSISTANT_AWAY = auto()
    FAREWELL = auto()


class Spoken(NamedTuple):
    """A text, and the `language` of the `<Say>` that says it."""

    text: str
    language: str


ENGLISH = "en"
# https://www.twilio.com/docs/voice/twiml/say#supported-languages-for-basic-voices
_SAY: Mapping[str, str] = {ENGLISH: "en-US", "de": "de-DE", "es": "es-ES", "fr": "fr-FR"}

_WORDS: Mapping[str, Mapping[Sentence, str]] = {
    ENGLISH: {
        Sentence.RECONNECTING: "One moment please, I am reconnecting you.",
        Sentence.WAITING: "One moment please.",
        Sentence.STILL_HERE: "One moment please, I am still here.",
        Sentence.CONNECTING: "One moment please, I am connecting you to {name}.",
        Sentence.HOLD: "All of our people are busy. Please hold the line.",
        Sentence.NOBODY: (
            "I am sorry, nobody can take your call right now. Please call again a little later. Goodbye."
        ),
        Sentence.CLOSED: "I am sorry, {name} is closed right now. Please call again when we are open. Goodbye.",
        Sentence.NOTHING_RECORDED: "I did not hear a message. Please call again. Goodbye.",
        Sentence.THANKS: "Thank you. Your message has been taken. Goodbye.",
        Sentence.CALLER_FOR: "A caller for {name}.",
        Sentence.KEYS: "Press 1 to accept, 2 to decline, 3 if you are in a meeting.",
        Sentence.GONE: "The caller has hung up. Goodbye.",
        Sentence.TAKEN: "Somebody else has taken the call. Goodbye.",
        Sentence.UNREACHABLE: "I am sorry, the caller cannot be connected right now. Goodbye.",
        Sentence.ASSISTANT_AWAY: (
            "Our assistant is not available right now. Please hold, I am connecting you to a person."
        ),
        Sentence.FAREWELL: (
            "Thank you for calling. If nobody could take your call, please call again a little later. Goodbye."
        ),
    },
    "de": {
        Sentence.RECONNECTING: "Einen Moment bitte, ich verbinde Sie wieder.",
        Sentence.WAITING: "Einen Moment bitte.",
        Sentence.STILL_HERE: "Einen Moment bitte, ich bin noch da.",
        Sentence.CONNECTING: "Einen Moment bitte, ich verbinde Sie: {name}.",
        Sentence.HOLD: "Zurzeit sind alle im Gespräch. Bitte bleiben Sie am Apparat.",
        Sentence.NOBODY: (
            "Es tut mir leid, gerade kann niemand Ihren Anruf annehmen. Bitte rufen Sie etwas später noch einmal an. "
            "Auf Wiederhören."
        ),
        Sentence.CLOSED: (
            "Es tut mir leid, außerhalb der Öffnungszeiten ist hier niemand zu erreichen: {name}. Bitte rufen Sie an, "
            "wenn wir geöffnet haben. Auf Wiederhören."
        ),
        Sentence.NOTHING_RECORDED: "Ich habe keine Nachricht gehört. Bitte rufen Sie noch einmal an. Auf Wiederhören.",
        Sentence.THANKS: "Vielen Dank. Ihre Nachricht wurde aufgenommen. Auf Wiederhören.",
        Sentence.CALLER_FOR: "Ein Anruf für {name}.",
        Sentence.KEYS: "Drücken Sie 1 zum Annehmen, 2 zum Ablehnen, 3, wenn Sie in einer Besprechung sind.",
        Sentence.GONE: "Der Anrufer hat aufgelegt. Auf Wiederhören.",
        Sentence.TAKEN: "Jemand anders hat den Anruf angenommen. Auf Wiederhören.",
        Sentence.UNREACHABLE: "Es tut mir leid, der Anrufer kann gerade nicht verbunden werden. Auf Wiederhören.",
        Sentence.ASSISTANT_AWAY: (
            "Unser Assistent ist gerade nicht erreichbar. Bitte warten Sie, ich verbinde Sie mit einem Menschen."
        ),
        Sentence.FAREWELL: (
            "Danke für Ihren Anruf. Falls niemand abnehmen konnte, rufen Sie bitte etwas später noch einmal an."
        ),
    },
    "es": {
        Sentence.RECONNECTING: "Un momento, por favor, le vuelvo a conectar.",
        Sentence.WAITING: "Un momento, por favor.",
        Sentence.STILL_HERE: "Un momento, por favor, sigo aquí.",
        Sentence.CONNECTING: "Un momento, por favor, le paso con {name}.",
        Sentence.HOLD: "Todas las personas están ocupadas. Por favor, no cuelgue.",
        Sentence.NOBODY: (
            "Lo siento, nadie puede atender su llamada en este momento. Vuelva a llamar un poco más tarde. Adiós."
        ),
        Sentence.CLOSED: (
            "Lo siento, en este momento está cerrado: {name}. Vuelva a llamar cuando estemos abiertos. Adiós."
        ),
        Sentence.NOTHING_RECORDED: "No he oído ningún mensaje. Por favor, vuelva a llamar. Adiós.",
        Sentence.THANKS: "Gracias. Hemos recibido su mensaje. Adiós.",
        Sentence.CALLER_FOR: "Una llamada para {name}.",
        Sentence.KEYS: "Pulse 1 para aceptar, 2 para rechazar, 3 si está en una reunión.",
        Sentence.GONE: "La persona que llamaba ha colgado. Adiós.",
        Sentence.TAKEN: "Otra persona ha atendido la llamada. Adiós.",
        Sentence.UNREACHABLE: "Lo siento, la llamada no se puede conectar en este momento. Adiós.",
        Sentence.ASSISTANT_AWAY: (
            "Nuestro asistente no está disponible en este momento. Espere, por favor, le paso con una persona."
        ),
        Sentence.FAREWELL: (
            "Gracias por llamar. Si nadie ha podido atenderle, vuelva a llamar un poco más tarde. Adiós."
        ),
    },
    "fr": {
        Sentence.RECONNECTING: "Un instant, s'il vous plaît, je vous reconnecte.",
        Sentence.WAITING: "Un instant, s'il vous plaît.",
        Sentence.STILL_HERE: "Un instant, s'il vous plaît, je suis toujours là.",
        Sentence.CONNECTING: "Un instant, s'il vous plaît, je vous mets en relation : {name}.",
        Sentence.HOLD: "Toutes nos lignes sont occupées. Merci de rester en ligne.",
        Sentence.NOBODY: (
            "Je suis désolé, personne ne peut prendre votre appel pour le moment. Merci de rappeler un peu plus tard. "
            "Au revoir."
        ),
        Sentence.CLOSED: (
            "Je suis désolé, c'est fermé pour le moment : {name}. Merci de rappeler pendant nos heures d'ouverture. "
            "Au revoir."
        ),
        Sentence.NOTHING_RECORDED: "Je n'ai pas entendu de message. Merci de rappeler. Au revoir.",
        Sentence.THANKS: "Merci. Votre message a bien été enregistré. Au revoir.",
        Sentence.CALLER_FOR: "Un appel pour {name}.",
        Sentence.KEYS: "Appuyez sur 1 pour accepter, 2 pour refuser, 3 si vous êtes en réunion.",
        Sentence.GONE: "Votre correspondant a raccroché. Au revoir.",
        Sentence.TAKEN: "Quelqu'un d'autre a pris l'appel. Au revoir.",
        Sentence.UNREACHABLE: "Je suis désolé, l'appel ne peut pas être mis en relation pour le moment. Au revoir.",
        Sentence.ASSISTANT_AWAY: (
            "Notre assistant n'est pas disponible. Veuillez patienter, je vous mets en relation avec une personne."
        ),
        Sentence.FAREWELL: (
            "Merci de votre appel. Si personne n'a pu vous répondre, rappelez un peu plus tard. Au revoir."
        ),
    },
}
LANGUAGES = tuple(_WORDS)


def family(language: str) -> str:
    """The language of ours for one such as `de` or `de-AT`: `de`; English where we have no words."""
    return language[:2] if language[:2] in _WORDS else ENGLISH


def spoken(sentence: Sentence, language: str, *, name: str = "") -> Spoken:
    """A sentence of ours in an agent's language; `name` is a destination's."""
    return as_written(_WORDS[family(language)][sentence].format(name=name), language)


def as_written(text: str, language: str) -> Spoken:
    """The business's own words, spoken by the voice of the agent's language."""
    return Spoken(text, _SAY[family(language)])
