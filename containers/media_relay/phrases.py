"""Does the caller ask for a person? Rules over the shape of a sentence, in English, German and Spanish. Pure.

A rule finds the request; what stands around it in the clause takes it back: a negation, a condition, the past, a
question *about* people ("are you a human?"), people of the caller's own ("my wife", "my insurance agent").
In doubt nobody is handed over: the model hears the same words, has the tool, and the key 0 is always there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from containers.media_relay.wording import PEOPLE, Lexicon, Reader, Sentence

# P person · S somebody · D destination · X extra phrase · h person, but an exclamation when alone
# W wants · K needs (asking about the need is no request) · M may I · E is there · T to talk · g to have · A available
# Z connect me · C get me · B to be connected · m me · V to connect · u through · b but rather
# N negation · Q question about people · F condition · H the past · O the caller's own · y who did it · a about
# d t p words that may stand between: of a person, definite article, courtesy
_TO = r"[dtp]{0,5}\.?[dtp]{0,3}[PSDh](?![dtp.]{0,2}O)"
_END = r"(?=p?(?:$|[,WKM]))"
RULES = [
    re.compile(rule)
    for rule in (
        rf"[WKM],?[.dtp]{{0,4}}T[dtp]{_TO}",  # I want to talk to a person
        rf"^[dtp,]{{0,3}}T[dtp]{_TO}",  # speak to a person
        rf"[WKM],?[.dtp]{{0,4}}[PSDh][.dtpaOPSDh]{{0,6}}T{_END}",  # ich möchte mit einem Menschen sprechen
        r"[dt][dtp]{0,4}[PSDh][.dtp]{0,3}T[WKM]",  # dass ich mit einem Menschen sprechen möchte
        r"[WK],?[dtp]{0,5}[Ph][dtp]{0,3}(?:$|,)",  # I want a person
        r"M[dtp]{0,3}g[dtp]{0,4}[Ph]",  # can I have a person
        r"M[dtp]{0,5}[Ph][dtp]{0,2}g",  # kann ich einen Menschen haben
        r"E[.dtp]{0,4}[PSh][.,dtp]{0,5}T",  # is there a person I can talk to
        r"E[dtp]{0,4}[Ph][dtp]{0,2}A",  # is there a person available
        rf"(?<![ySPDh])[CZ]{_TO}",  # put me through to a person
        r"(?<![ySPDh])Z[dtp]{0,2}u?p?(?:$|,)",  # put me through
        rf"m[dtpS]{{0,2}}{_TO}[.dtp]{{0,3}}V",  # können Sie mich mit einem Menschen verbinden
        r"m[dtp]{0,2}V",  # können Sie mich verbinden
        rf"[WKM][.dtp]{{0,4}}B{_TO}",  # I would like to be connected to a person
        rf"[WKM][.dtp]{{0,4}}[PSDh]?[dtp]{{0,2}}B{_END}",  # ich möchte verbunden werden
        r"pg[dtp]{0,3}[PSDh][dtp]{0,3}(?:$|,)",  # can you get somebody on the phone
        r"b[dtp]{0,4}[PSDh]",  # sondern mit einem Menschen
        r"^[dp,]{0,4}P[dpP,]{0,8}$",  # a person, please
        r"^[dp,]{0,3}dh[dp]{0,3}(?:$|,)",  # ein Mensch, bitte
        r"^[dtp,]{0,4}D[dtp,]{0,4}(?<=p)$",  # the billing department, please
        r"X",
    )
]
_TAKEN_BACK = frozenset("NQFH")

LEXICONS = {
    "en": {
        "P": PEOPLE["en"],
        "S": "someone, somebody, anyone, anybody, someone else, somebody else, anyone else, anybody else",
        ".": """
            estate agent, real estate agent, travel agent, insurance agent, letting agent, cleaning agent, machine
            operator, crane operator, tour operator, sales representative, was, has, what, told, this, my name is,
            said, be, of it, with it, out, there, will, wants, how, me, who is, yours
        """,
        "W": """
            want, wanna, want to, need, need to, would like, would like to, id like, id like to, would love to, id love
            to, would prefer, id prefer, prefer, prefer to, would rather, id rather, rather, demand, demand to, like
            to, hoping to, gotta, got to, possible to, is it possible to, would it be possible to, trying to, asked
            for, asking for, request, asked to, asking to, must, insist on, no id like, ill need, i need, i want
        """,
        "WT": """
            insist on speaking, insist on talking, chance of speaking, chance of talking, chance i could speak, insist
            on speaking with, insist to speak
        """,
        "M": """
            can i, could i, may i, might i, can we, could we, let me, lemme, how can i, how could i, how do i, cant i,
            why cant i, couldnt i, will you let me, can you let me, wondering if i could, wondering if i can, know if i
            can, know if i could, see if i can, see if i could, ask if i can, ask if i could, is there any way i can,
            is there any way to, is there a way to, how would i, no can i, no let me
        """,
        "T": "talk, speak, chat, reach, get to, get a hold of, get through to, talk directly, have a word",
        "g": "have, get",
        "A": "available, around, free, on duty",
        "E": "is there, are there, isnt there, do you have, have you got, dont you have",
        "Z": """
            connect me, connect us, put me through, putting me through, put me over, put me on, put me back, transfer
            me, transfer me over, transfer us, transferring me, connecting me, pass me, pass me on, pass me over,
            forward me, switch me, switch me over, hand me, hand me over, hand me on, handing me over, redirect me,
            route me, patch me, patch me through
        """,
        "C": """
            get hold of, get me, give me, find me, bring me, get us, escalate this, escalate me, escalate it, direct
            me, refer me, put me in touch, take me
        """,
        "B": "be connected, be transferred, be put through, be forwarded, be passed, be passed on, be handed over",
        "N": """
            not, dont, do not, never, no need, wont, cannot, cant, no, without, didnt, doesnt, instead of, nor,
            neither, refuse to, hate to, glad, avoid, never mind, nevermind, neednt, isnt, no one, nobody, rather than,
            rather not, dont think i, do not think i, dont believe i, not sure i, dont know if i, dont know whether i,
            dont think that i, would hate to, rid of, wouldnt
        """,
        "Q": """
            are you, is this, is that, am i, you sound, you are, youre, was that, was i, is it, when can i, where can
            i, what time can i, do i have to, do i need to, must i, should i, do i really have to, do i really need to,
            will i have to, would i have to, do we have to, will i need to, when could i, how long until i can, how
            soon can i, what if i, what happens if i, how much to, can i also, why should i, why do i have to, why do i
            need to
        """,
        "F": """
            if, if i, in case, in case i, unless, unless i, when, when i, whenever, whenever i, whether, whether i,
            before i, after i, once i, until i, every time i
        """,
        "H": """
            yesterday, last week, last month, last time, the other day, tried to, managed to, had to, used to, got to
            speak, last night, on monday, on tuesday, on wednesday, on thursday, on friday
        """,
        "O": "my, his, her, their, our, myself, mine",
        "y": "they, he, she, who, you, it, which, colleague who",
        "a": "about, regarding, concerning, on, over",
        "d": """
            here, to, with, a, an, one, of, one of, some, real, live, actual, proper, different, another, other, in,
            from, at, your, of your, on the phone, on the line, over to, back to, through to, onto, else, team,
            department, desk, for me, actual real, competent, responsible, in charge, directly, again, nice
        """,
        "t": "the, that, these, those",
        "p": """
            please, can you, could you, will you, would you, can somebody, could somebody, can someone, could someone,
            would someone, would somebody, can anyone, could anyone, will someone, why dont you, would you mind, do you
            mind
        """,
        ",": "and, but, so, because, i, no i, no thanks, no thank you, since, im, ive, therefore, although",
        "": """
            um, uh, er, erm, hmm, like, you know, just, really, actually, well, okay, ok, yeah, yes, now, right now,
            straight away, immediately, simply, kindly, look, listen, hello, hi, hey, thank you, thanks, maybe,
            perhaps, quickly, finally, instead, then, no offence, no offense, right away, at once, today, sorry,
            alright, all right, oh, still, seriously, honestly, only
        """,
    },
    "de": {
        "P": PEOPLE["de"],
        "h": "mensch",
        "S": """
            jemand, jemanden, jemandem, irgendwen, irgendwem, irgendjemand, irgendjemanden, irgendjemandem, wen anders,
            jemand anderen, jemand anderem, jemand anders
        """,
        ".": "ist, war, das, es, hat, habe, wie, was, wird, sich, ihnen, nach, gesprochen, gesagt, dir, du, mir",
        "W": """
            moechte, moechten, will, wuerde, haette, muss, brauche, wuensche, verlange, wollen, wuerd, moecht, mag,
            bestehe darauf
        """,
        "M": """
            kann ich, koennte ich, koennt ich, darf ich, duerfte ich, lassen sie mich, lass mich, kann man, koennen
            wir, ist es moeglich, waere es moeglich, wie kann ich, wie komme ich, warum kann ich nicht, kann ich nicht,
            koennten wir
        """,
        "T": "sprechen, reden, telefonieren, unterhalten, zu sprechen, zu reden",
        "g": "haben, bekommen, kriegen",
        "A": "frei, verfuegbar, erreichbar",
        "E": "gibt es, gibts, ist da, ist dort, haben sie, habt ihr, ist denn da",
        "Z": """
            verbinden sie mich, verbinde mich, verbinden sie uns, stellen sie mich, stell mich, leiten sie mich, leite
            mich, reichen sie mich, vermitteln sie mich, stellen sie uns, verbindet mich
        """,
        "C": """
            geben sie mir, gib mir, holen sie mir, holen sie, rufen sie mir, hol mir, hol, geben sie mich, bringen sie
            mich, schicken sie mich zu, gebt mir
        """,
        "B": """
            verbunden werden, durchgestellt werden, weitergeleitet werden, weiterverbunden werden, weitervermittelt
            werden
        """,
        "m": "uns, mich",
        "V": "verbinden, durchstellen, weiterleiten, weiterverbinden, vermitteln, weitervermitteln, weiterreichen",
        "u": "durch, weiter",
        "b": "sondern",
        "N": """
            nicht, kein, keine, keinen, keinem, keiner, nie, niemals, niemand, niemanden, niemandem, ohne, statt,
            anstatt, bloss nicht
        """,
        "Q": """
            sind sie, bist du, spreche ich, rede ich, muss ich, soll ich, sollte ich, ist das, wann kann ich, wo kann
            ich, mit wem, bin ich, sie klingen, klingst du, sie sind, brauche ich, wann koennte ich, ab wann kann ich,
            bis wann kann ich, wieso muss ich, warum muss ich, muss man, wie lange, telefoniere ich
        """,
        "F": "wenn, falls, ob, sofern, bevor, damit, als, sobald",
        "H": """
            gestern, letzte woche, letzten monat, neulich, vorhin, wollte, durfte, konnte, musste, sollte, letztens,
            vorgestern
        """,
        "O": """
            mein, meine, meinen, meinem, meiner, unser, unsere, unserem, unseren, unserer, seinem, seiner, seinen,
            eigenen
        """,
        "a": "ueber, wegen, bezueglich, zwecks",
        "d": """
            mit, einem, einen, einer, eine, ein, von, aus, zu, zum, zur, an, in, im, am telefon, ans telefon, an die
            leitung, am apparat, an den apparat, bei, beim, ihrem, ihren, ihrer, ihre, eurem, euren, eurer, anderen,
            andere, anderem, echten, echte, echter, richtigen, richtige, richtiger, lebenden, menschlichen, realen,
            wirklichen, zustaendigen, vom, kompetenten, fuer mich, rueber, team, abteilung, einem ihrer, einer ihrer,
            einen ihrer, selber, dort
        """,
        "t": "der, den, dem, die",
        "p": "bitte, koennen sie, koennten sie, wuerden sie, kannst du, koenntest du, bitte schoen, seien sie so gut",
        ",": "und, aber, weil, dass, nein, deshalb, daher, deswegen",
        "": """
            da, aeh, aehm, hm, also, ja, doch, mal, einfach, jetzt, sofort, gleich, denn, halt, eben, gern, gerne,
            lieber, direkt, endlich, kurz, dringend, hallo, danke, vielen dank, guten tag, okay, ok, vielleicht, nur,
            auch, wirklich, ich, bitte mal, dann, na, gut, heute, unbedingt, persoenlich, lieber gleich, nun, wieder,
            selbst
        """,
    },
    "es": {
        "P": PEOPLE["es"],
        "S": "alguien, alguien mas, alguno, alguien de verdad",
        ".": """
            agente de seguros, agente inmobiliario, asesor fiscal, operador de grua, esta, es, son, fue, lo, le, se,
            usted, me dijo, como, cuanto, hasta, para, por, pueda, espanol, ingles, me
        """,
        "W": """
            quiero, quisiera, me gustaria, prefiero, preferiria, deseo, queria, querria, exijo, solicito, queremos,
            quiero que, preferimos, insisto en, pido, he pedido, quisieramos, necesitaria
        """,
        "K": "necesito, tengo que, debo, hay que, necesitamos, necesito que, tenemos que, me urge",
        "M": """
            puedo, podria, podriamos, podemos, dejeme, dejame, se puede, es posible, seria posible, como puedo, como
            hago para, como podria, me deja, me permite, por que no puedo, puede ser, hay forma de, hay manera de, me
            podria dejar
        """,
        "T": "hablar, hable, conversar, charlar, contactar, hablarle",
        "g": "tener",
        "A": "disponible, libre, ahi",
        "E": "hay, no hay, tienen, tiene",
        "Z": """
            transfierame, transfiereme, comuniqueme, comunicame, conecteme, transferirme, deriveme, transfieranme,
            comuniquenme
        """,
        "C": """
            paseme, pasame, me pasa, me pasas, me pase, me pasen, me puede pasar, me podria pasar, me puedes pasar,
            pasarme, me comunica, me comunicas, me comunique, me comuniquen, me puede comunicar, me podria comunicar,
            comunicarme, me transfiere, me transfiera, me transfieran, me puede transferir, me podria transferir,
            conectame, me conecta, me conecte, me conecten, conectarme, pongame, ponme, me pone, me ponga, me pongan,
            ponerme, me puede poner, me podria poner, derivarme, deme, dame, me da, me atienda, me ayude, se ponga,
            ponganme, pasenme, me puede conectar, me podria conectar, me puede atender, me derive, me deriva, me
            pasara, me pasaran, me comunicara, me transfiriera, me pueden pasar, me pueden comunicar, comunicar con
        """,
        "N": "no, nunca, ningun, ninguna, ninguno, nadie, sin, tampoco, en vez de, en lugar de, ni, jamas",
        "Q": """
            es usted, eres, estoy hablando, hablo con, parece, esto es, es esto, es un, es una, cuando puedo, con quien
            hablo, a que hora puedo, donde puedo, usted es, que me pasa, por que me pasa, cuando podria, estoy
            conversando, por que tengo que, desde cuando puedo, a partir de cuando puedo
        """,
        "F": "si, cuando, aunque, antes de, despues de, en caso de",
        "H": """
            ayer, la semana pasada, el mes pasado, intente, trate de, tuve que, pude, la ultima vez, el otro dia,
            anteayer, logre
        """,
        "O": "mi, mis, nuestro, nuestra, nuestros",
        "a": "sobre, acerca de",
        "d": """
            que, con, un, una, a, al, de, del, en, verdad, de verdad, real, reales, sus, su, tus, tu, otro, otra,
            algun, alguna, uno, uno de, una de, alguno de, alguna de, quien, cual, vivo, en vivo, departamento, area,
            equipo, seccion, de carne y hueso, de ustedes, al telefono, en persona, mas, distinta, distinto, competente
        """,
        "t": "el, la, los, las",
        "p": """
            por favor, porfavor, porfa, puede, podrian, pueden, podeis, puedes, seria tan amable de, le importaria,
            quiere
        """,
        "b": "sino",
        ",": "y, pero, asi que, porque, entonces, por eso, por lo tanto",
        "": """
            eh, bueno, pues, oiga, oye, mire, mira, vale, yes, ahora, ahora mismo, ya, ya mismo, solo, solamente,
            simplemente, directamente, urgentemente, inmediatamente, hola, buenos dias, buenas tardes, buenas, gracias,
            muchas gracias, mejor, ok, ya basta, enseguida, yo, hoy, hoy mismo, por fin, de inmediato, urgente,
            realmente, mismo, cuanto antes
        """,
    },
}
_WORDS = [Lexicon(phrases) for phrases in LEXICONS.values()]


class Phrases:
    """What callers say when they want a person.

    `names`: key of each destination to its spoken name; `default`: where a caller goes who names none of them;
    `extra`: phrases of this business that ask for a person, in any language.
    """

    def __init__(self, names: Mapping[str, str], default: str, extra: Sequence[str] = ()) -> None:
        self._reader = Reader(_WORDS, names, extra)
        self._default = default

    def asked_for(self, transcript: str) -> str | None:
        """The key of the destination the caller asks for in this turn; None if they do not ask for a person."""
        for sentence in self._reader.sentences(transcript):
            for found in (match for rule in RULES for match in rule.finditer(sentence.shape)):
                if not _taken_back(sentence, found):
                    return sentence.named(found.start(), len(sentence.shape)) or self._default
        return None


def _taken_back(sentence: Sentence, found: re.Match[str]) -> bool:
    before = sentence.before(found.start())
    needs = "K" in before + found.group()
    return not _TAKEN_BACK.isdisjoint(before) or "H" in sentence.after(found.end()) or (needs and sentence.question)
