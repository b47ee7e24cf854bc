"""Did the agent say that it connects the caller now? Rules over the shape of a sentence, in three languages. Pure.

A promise without the tool call that keeps it leaves a caller waiting for nobody. What is not a promise: an offer or a
question ("shall I connect you?"), a condition ("once I have your number"), a refusal, the past, and things that are
connected or passed on without the caller ("I'll pass that on", "le paso la nota").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from containers.media_relay.wording import PEOPLE, Lexicon, Reader, Sentence, words

# I what I will do · Z connect you · G connecting you · Y you will be · B b connected · g get · P S D as in phrases.py
# V ich verbinde · s Sie · L ich stelle · u durch · W ich werde Sie · v verbinden · R ich versuche · h ich hole
# w le paso · c con · a a · e pasarle · r to call back · t d words between
# N negation · F condition, offer · H the past · O what is passed on without the caller
_BETWEEN = r"[.dtaPSD]"
RULES = [
    re.compile(rule)
    for rule in (
        r"I[d]{0,2}Z(?![dt]{0,2}\.?O)",  # I'll connect you
        r"(?:^|[,I])G(?![dt]{0,2}\.?O)",  # (I'm) connecting you
        r"Yd{0,2}B",  # you're being connected
        r"(?:Ig|h)[dt]{0,3}\.?[dt]{0,2}[PSD](?![.dtPSD]{0,6}r)",  # let me get a colleague
        r"Vs",  # ich verbinde Sie
        r"V(?=$|,|d)",  # ich verbinde
        rf"Ls{_BETWEEN}{{0,7}}u(?=$|,)",  # ich stelle Sie zu einem Kollegen durch
        r"Lu(?=$|,)",  # ich stelle durch
        rf"W{_BETWEEN}{{0,7}}v",  # ich werde Sie mit einem Kollegen verbinden
        rf"R,?s{_BETWEEN}{{0,6}}v",  # ich versuche, Sie zu verbinden
        rf"Y{_BETWEEN}{{0,7}}[Bb]",  # Sie werden mit dem Empfang verbunden
        r"w(?=$|,)",  # le transfiero
        r"w(?:c|a[dt]{0,3}[PSD.])(?![dt]{0,2}O)",  # le paso con un compañero
        r"Ie(?=$|,)",  # voy a transferirle
        r"Ie(?:c|a[dt]{0,3}[PSD.])",  # voy a pasarle con un compañero
    )
]
_TAKEN_BACK = frozenset("NH")

LEXICONS = {
    "en": {
        "P": PEOPLE["en"],
        "S": "someone, somebody, someone else, somebody else, another colleague",
        ".": "was, were, is, has, your, what, how, my, be, there, thank you for, let me know, let me check, team is",
        "I": """
            ill, i will, let me, im going to, i am going to, im gonna, while i, allow me to, i shall, were going to,
            well, we will, and ill, and i will, im now going to, im about to, going to, let us, lets get you
        """,
        "Z": """
            connect you, transfer you, transfer you over, put you through, put you over, hand you over, hand you off,
            hand you, pass you on, pass you over, pass you, get you through, get you over, switch you, switch you over,
            forward you, patch you through, patch you, redirect you, route you, get you to, put you in touch, send you
            over, send you, connect your call, transfer your call, put your call through, forward your call, get you
            connected, have you connected, get you transferred, connect with you, put you on to, put you onto, put you
            on with, escalate you, escalate this, escalate your call, connect you over
        """,
        "G": """
            im connecting you, i am connecting you, connecting you, im transferring you, i am transferring you,
            transferring you, im putting you through, i am putting you through, putting you through, im handing you
            over, i am handing you over, im now handing you over, handing you over, im passing you on, im passing you
            over, passing you over, passing you on, im forwarding you, forwarding you, im now connecting you, im now
            transferring you, im now putting you through, im patching you through, patching you through, im switching
            you, im redirecting you, redirecting you, routing you, im routing you, were connecting you, were
            transferring you, transferring your call, connecting your call, im transferring your call, im connecting
            your call, im getting you, im sending you over, im bringing you
        """,
        "Y": """
            youll be, you will be, youre being, you are being, youll get, your call is being, your call will be, youre,
            you are, youre about to be, you are about to be
        """,
        "B": "connected, transferred, put through, handed over, forwarded, passed on, redirected, passed over",
        "g": "get, bring in, fetch, find, call in, grab, bring, loop in",
        "h": "im getting, im bringing in, i am getting, im calling in, im fetching",
        "r": """
            to call, call you, to look, to send, to email, to get back, to check, to come, to visit, to contact, look
            into, to ring, to review, to reach out, to follow up, name, number, report, to do, call back
        """,
        "O": """
            page, website, app, refund, money, amount, payment, link, document, documents, details, email, form, bill,
            invoice, message, information, a copy, steps, receipt, request, a few questions, appointment, balance,
            code, text, list, process, options, dollars
        """,
        "N": """
            not, wont, cant, cannot, never, without, dont, do not, instead of, before, unable, wouldnt, no longer,
            rather than, didnt, afraid
        """,
        "F": """
            if, once, when, whenever, as soon as, after, until, unless, in case, before i, after i, once i, give me,
            tell me, would you like, do you want, shall i, should i, may i, can i, to connect you, to transfer you,
            only, provided, assuming, i need, ill need, i just need, ill just need, first, as long as, to put you
            through, could you, can you, monday, tomorrow, later, at any time, by pressing, press, when i, whether
        """,
        "H": "earlier, tried to, yesterday, was connecting, was transferring, previously, had, was putting, last time",
        "t": "the",
        "d": """
            to, with, a, an, one of, our, from, over to, of, some, through to, over, in, on, for you, on the line,
            another, straight, live, right, someone from, to a, to our, department, team, the right, real, of our
        """,
        ",": "and, but, so, because, while, therefore, i understand, of course, since",
        "": """
            now, just, right away, straight away, immediately, okay, ok, sure, alright, all right, please, great,
            currently, quickly, directly, then, gladly, go ahead and, happily, also, actually, today, personally,
            absolutely, certainly, right now, yes, yeah, no problem, at once, well then, here, i see, thanks, um, oh
        """,
    },
    "de": {
        "P": PEOPLE["de"] + ", mensch",
        "S": "jemanden, jemandem",
        ".": "ist, das, es, sind, ihre, ihr, ihrem, wie, was, hat, ich gebe ihnen die, danke",
        "V": """
            ich verbinde, verbinde ich, verbinde, ich uebergebe, uebergebe ich, ich vermittle, vermittle ich, ich
            transferiere, wir verbinden
        """,
        "s": "sie, dich, euch, ihren anruf, deinen anruf",
        "L": "ich stelle, stelle ich, ich leite, leite ich, ich reiche, reiche ich, ich gebe, gebe ich, stelle, leite",
        "u": "durch, weiter, rueber, ab",
        "W": """
            ich werde sie, werde ich sie, lassen sie mich sie, ich werde dich, werde ich dich, lass mich dich, wir
            werden sie, ich moechte sie nun, dabei sie, dabei dich
        """,
        "v": """
            verbinden, durchstellen, weiterleiten, weiterverbinden, zu verbinden, durchzustellen, weiterzuleiten,
            vermitteln, weiterzuverbinden, zu uebergeben
        """,
        "R": "ich versuche, versuche ich, bin dabei, bin gerade dabei, dabei",
        "Y": "sie werden, du wirst, werden sie, wirst du, ihr anruf wird",
        "b": "uebergeben, verbunden, durchgestellt, weitergeleitet, weiterverbunden, vermittelt",
        "h": """
            ich gebe ihnen, ich hole ihnen, ich hole, hole ich ihnen, hole ich, ich rufe ihnen, ich gebe dir, ich hole
            dir, ich rufe, gebe ich ihnen
        """,
        "r": "tipp, anrufen, ruft, namen, nummer, zurueckruft, zurueckrufen",
        "N": "nicht, kein, keine, keinen, nie, ohne, niemand, niemanden, statt",
        "F": """
            wenn, falls, sobald, bevor, nachdem, ob, um, sofern, erst, sagen sie mir, nennen sie mir, geben sie mir,
            soll ich, darf ich, moechten sie, montag, morgen, spaeter, brauche ich, damit ich, kann ich, koennte ich,
            bitte nennen sie mir
        """,
        "H": "habe, hatte, wollte, konnte, versucht, wurden, vorhin, gestern, wurde",
        "d": """
            mit, zu, zum, zur, an, der, dem, den, die, einem, einen, einer, unserem, unserer, unseren, eine, aus,
            meiner, meinem, meinen, ans telefon, dazu, ein, vom, von, in, im, team, abteilung, unsere, richtigen,
            zustaendigen, an die leitung, meine, ihnen
        """,
        ",": "und, aber, deshalb, daher, deswegen, dass, also, waehrend, weil",
        "": """
            jetzt, gleich, sofort, bitte, gern, gerne, direkt, nun, mal, gerade, umgehend, einfach, okay, gut, ja,
            dann, dafuer, schnell, kurz, natuerlich, selbstverstaendlich, in kuerze, moment, einen moment, einen
            augenblick, alles klar, auch, eben, sehr gerne, persoenlich, noch, schon, nein, verstehe, heute
        """,
    },
    "es": {
        "P": PEOPLE["es"],
        "S": "alguien",
        ".": "es, esta, en, por, su factura, que, una pregunta, para, lo que, gracias por, se, fue",
        "w": """
            le paso, te paso, lo paso, la paso, les paso, le comunico, te comunico, lo comunico, la comunico, les
            comunico, le transfiero, te transfiero, lo transfiero, la transfiero, les transfiero, le conecto, te
            conecto, lo conecto, la conecto, le pongo, te pongo, lo pongo, la pongo, le derivo, te derivo, lo derivo,
            la derivo, le redirijo, lo redirijo, la redirijo, le voy a pasar, te voy a pasar, lo voy a pasar, la voy a
            pasar, le voy a comunicar, te voy a comunicar, lo voy a comunicar, la voy a comunicar, le voy a transferir,
            te voy a transferir, lo voy a transferir, la voy a transferir, le voy a conectar, te voy a conectar, lo voy
            a conectar, le voy a poner, te voy a poner, le voy a derivar, lo voy a derivar, le estoy pasando, te estoy
            pasando, lo estoy pasando, la estoy pasando, le estoy transfiriendo, te estoy transfiriendo, lo estoy
            transfiriendo, la estoy transfiriendo, le estoy comunicando, te estoy comunicando, lo estoy comunicando, le
            estoy conectando, te estoy conectando, lo estoy conectando, le vamos a pasar, le vamos a comunicar, le
            vamos a transferir, estoy pasandole, estoy transfiriendole, estoy comunicandole, transfiriendole,
            comunicandole, pasandole, conectandole, le pasamos, le comunicamos, le transferimos, le pasare, le
            comunicare, le transferire, le conectare, te pasare, transfiero su llamada, paso su llamada, le canalizo,
            lo canalizo, la canalizo, le enlazo, lo enlazo, la enlazo
        """,
        "I": "voy a, vamos a, permitame, permiteme, dejeme, dejame, procedo a, permita que, paso a",
        "e": """
            pasarle, comunicarle, transferirle, conectarle, ponerle, derivarle, redirigirle, pasarlo, comunicarlo,
            transferirlo, conectarlo, derivarlo, pasarla, comunicarla, transferirla, conectarla, pasarte, comunicarte,
            transferirte, conectarte, ponerte, transferir su llamada, pasar su llamada, le pase, le comunique, le
            transfiera, ponerlo, ponerla, canalizarlo, canalizarle, enlazarlo
        """,
        "Y": "sera, esta siendo, va a ser, seras, su llamada sera, su llamada esta siendo, estas siendo",
        "B": """
            transferido, transferida, conectado, conectada, comunicado, comunicada, derivado, derivada, atendido por,
            redirigido
        """,
        "c": "con",
        "a": "a, al, hacia",
        "O": """
            espera, la espera, explicar, detallar, contar, decir, comentar, leer, enumerar, la lista, dinero, importe,
            cantidad, informar, preguntar, cuenta, su cuenta, resumir, confirmar, mostrar, indicar, dar, dia,
            corriente, su correo, correo
        """,
        "N": "no, nunca, sin, nadie, tampoco, en vez de, en lugar de",
        "F": """
            si, cuando, antes de, en cuanto, una vez que, despues de, digame, dime, quiere que, desea que, necesito,
            para poder, una vez, tan pronto, hasta que, le gustaria, puedo, podria, primero, lunes, manana, deme,
            antes, tras, solo si
        """,
        "H": "ayer, intente, antes le, hace un momento, trate de",
        "d": """
            un, una, de, nuestro, nuestra, mi, su, uno de, departamento, del, equipo, otro, otra, area, nuestros, una
            de
        """,
        "t": "el, la, los, las",
        ",": "y, pero, asi que, mientras, porque, por eso, por lo tanto, entonces, entiendo, no cuelgue, no se retire",
        "": """
            ahora, ahora mismo, enseguida, de inmediato, inmediatamente, por favor, claro, vale, un momento, yes, ya,
            directamente, con gusto, en un momento, bien, perfecto, de acuerdo, por supuesto, yo, mismo, pues, bueno,
            en seguida, rapidamente, ya mismo, hoy, gracias, muy bien, espere
        """,
    },
}
_WORDS = [Lexicon(phrases) for phrases in LEXICONS.values()]


class Promises:
    """What the agent says when it connects a caller.

    `names`: key of each destination to its spoken name; `default`: where a promise leads that names none of them.
    """

    def __init__(self, names: Mapping[str, str], default: str) -> None:
        self._reader = Reader(_WORDS, names)
        self._default = default

    def made(self, transcript: str) -> str | None:
        """The key of the destination that the agent says it connects the caller to, now; None if it does not."""
        for sentence in self._reader.sentences(transcript):
            if sentence.question or "F" in sentence.shape:
                continue
            for found in (match for rule in RULES for match in rule.finditer(sentence.shape)):
                if not _taken_back(sentence, found):
                    return sentence.named(found.start(), len(sentence.shape)) or self._default
        return None


def _taken_back(sentence: Sentence, found: re.Match[str]) -> bool:
    around = sentence.before(found.start()) + found.group() + sentence.after(found.end())
    return not _TAKEN_BACK.isdisjoint(around)


_CALLED_OFF = frozenset(
    words("no not dont wait stop hold cancel nein nicht warten warte stopp halt doch espere espera alto cancele pare")
)
_HARMLESS = frozenset({("no", "problem"), ("no", "worries"), ("no", "hay"), ("hold", "the"), ("ill", "hold")})


def called_off(transcript: str) -> bool:
    """Whether the caller's answer to a promise asks to wait or not to be connected."""
    said = words(transcript)
    pairs = set(pairwise(said))
    return any(word in _CALLED_OFF for word in said) and pairs.isdisjoint(_HARMLESS)
