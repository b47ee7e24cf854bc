"""Speaking and recognising without a network: four espeak-ng voices, and a recogniser for a known bank of phrases.

Both libraries carry their data in their wheels. Free dictation of synthetic speech does not work offline; choosing
among known phrases does, so the recogniser is given its phrases and answers with one of them, or with nothing.
"""

from __future__ import annotations

import ctypes
import difflib
import functools
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import espeakng_loader
import numpy as np
import pocketsphinx

from simulators import audio

LEVEL_DBFS = -18.0
SAMPLE_RATE = 8000
_RECOGNISER_RATE = 16000  # of the acoustic model in the wheel
_PAD_MS = 300
_DITHER = 5.0  # sigma, in 16-bit steps: the model was trained on microphones, digital silence confuses it
_CLOSE_ENOUGH = 0.6  # difflib ratio


class Voice(StrEnum):
    """Who is speaking; each sounds different."""

    CALLER = "caller"
    AGENT = "agent"
    PERSON = "person"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class _Manner:
    """An espeak-ng voice name, pitch (0 to 100) and rate (words a minute)."""

    name: str
    pitch: int
    rate: int


_MANNERS = {
    Voice.CALLER: _Manner("en-us+f2", 50, 150),
    Voice.AGENT: _Manner("en-us", 42, 170),
    Voice.PERSON: _Manner("en-gb-scotland+m3", 75, 165),
    Voice.OPERATOR: _Manner("en-gb-x-rp+f4", 70, 150),
}

_LANGUAGES = {  # of our own lines
    "en": _Manner("en-us", 42, 165),
    "de": _Manner("de", 42, 160),
    "es": _Manner("es", 42, 165),
    "fr": _Manner("fr-fr", 42, 160),
}

# espeak-ng's speak_lib.h: output mode, parameters and text encoding.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _PITCH = 1, 3
_UTF8 = 1
_POSITION_CHARACTER = 1
_Synthesised = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Espeak:
    """espeak-ng keeps its state in globals: one instance a process, one thread at a time.

    Some of that state outlives an utterance, so the same words do not give the same bytes twice; `speak` caches.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path()).encode()
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
        assert self._rate > 0, "espeak-ng starts with the data of its own wheel"
        self._lock = threading.Lock()
        self._samples: list[Any] = []
        self._callback = _Synthesised(self._collect)  # kept: ctypes does not hold it
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, _events: object) -> int:
        if samples and count > 0:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def synthesise(self, text: str, manner: _Manner) -> tuple[Any, int]:
        """Samples (int16) and their rate in Hz."""
        content = text.encode()
        size = ctypes.c_size_t(len(content) + 1)
        with self._lock:
            self._samples.clear()
            self._library.espeak_SetVoiceByName(manner.name.encode())
            self._library.espeak_SetParameter(_PITCH, manner.pitch, 0)
            self._library.espeak_SetParameter(_RATE, manner.rate, 0)
            self._library.espeak_Synth(content, size, 0, _POSITION_CHARACTER, 0, _UTF8, None, None)
            samples = np.concatenate(self._samples) if self._samples else np.zeros(0, np.int16)
        return samples, self._rate


@functools.cache
def _only_espeak() -> _Espeak:
    return _Espeak()


_starting = threading.Lock()


def _espeak() -> _Espeak:
    with _starting:  # a cache alone lets threads that come together start it twice, which it does not bear
        return _only_espeak()


@functools.lru_cache(maxsize=512)
def speak(text: str, voice: Voice) -> bytes:
    """`text` spoken by `voice`: mu-law, 8 kHz, mono, at about -18 dBFS; empty for a text without words."""
    return _spoken(text, _MANNERS[voice])


def speak_in(text: str, language: str) -> bytes:
    """`text` spoken in a language of our own lines ("en", "de", "es" or "fr"), as `speak` does."""
    return _spoken(text, _LANGUAGES[language])


def _spoken(text: str, manner: _Manner) -> bytes:
    samples, rate = _espeak().synthesise(text.replace("\0", " "), manner)
    if not len(samples):
        return b""
    narrow = _to_telephone(samples.astype(np.float64), rate)
    loud = np.abs(narrow) > 0.02 * np.abs(narrow).max(initial=1.0)
    rms = float(np.sqrt(np.mean(narrow[loud] ** 2))) if loud.any() else 1.0
    scaled = narrow * (32768 * 10 ** (LEVEL_DBFS / 20) / max(rms, 1.0))
    return audio.encode(np.clip(scaled, -32000, 32000).astype(np.int16))


def _to_telephone(samples: Any, rate: int) -> Any:
    """Resample to 8 kHz, cutting at 3.6 kHz by a windowed sinc: what lies above would fold back as hiss."""
    taps = 101
    reach = np.arange(taps) - taps // 2
    cutoff = 2 * 3600 / rate
    kernel = cutoff * np.sinc(cutoff * reach) * np.hamming(taps)
    filtered = np.convolve(samples, kernel / kernel.sum(), mode="same")
    count = int(len(samples) * SAMPLE_RATE / rate)
    return np.interp(np.arange(count) * rate / SAMPLE_RATE, np.arange(len(filtered)), filtered)


class Recogniser:
    """Hears which of its phrases was said, from telephone audio. May be used from several threads."""

    def __init__(self, phrases: Sequence[str]) -> None:
        assert phrases, "a recogniser needs at least one phrase to listen for"
        dictionary = pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")
        self._decoder = pocketsphinx.Decoder(
            hmm=pocketsphinx.get_model_path("en-us/en-us"), dict=dictionary, lm=None, loglevel="FATAL"
        )
        # Words without a known pronunciation are left out: the rest of the phrase is enough to tell it apart.
        self._phrases = {self._pronounceable(phrase): phrase for phrase in phrases}
        sentences = [sentence for sentence in self._phrases if sentence]
        assert sentences, "at least one phrase has words that can be pronounced"
        self._decoder.add_jsgf_string(
            "bank", f"#JSGF V1.0; grammar bank; public <phrase> = {' | '.join(sentences)} ;".encode()
        )
        self._decoder.activate_search("bank")
        self._lock = threading.Lock()

    def _pronounceable(self, phrase: str) -> str:
        words = re.findall(r"[a-z']+", phrase.lower())
        return " ".join(word for word in words if self._decoder.lookup_word(word))

    def hear(self, ulaw: bytes) -> str | None:
        """The phrase that `ulaw` (mu-law, 8 kHz) holds, as it was given; None if it is none of them."""
        if audio.level(ulaw) < -55 or len(ulaw) < SAMPLE_RATE // 5:
            return None
        with self._lock:
            self._decoder.start_utt()
            self._decoder.process_raw(_for_recogniser(ulaw), full_utt=True)
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
        return None if hypothesis is None else self.closest(hypothesis.hypstr)

    def closest(self, text: str) -> str | None:
        """The phrase most like `text`; None if none is much like it."""
        words = " ".join(re.findall(r"[a-z']+", text.lower()))
        found = difflib.get_close_matches(words, self._phrases, n=1, cutoff=_CLOSE_ENOUGH)
        return self._phrases[found[0]] if found else None


def _for_recogniser(ulaw: bytes) -> bytes:
    narrow = audio.decode(ulaw).astype(np.float64)
    wide = np.interp(np.arange(0, len(narrow), SAMPLE_RATE / _RECOGNISER_RATE), np.arange(len(narrow)), narrow)
    padded = np.pad(wide, _PAD_MS * _RECOGNISER_RATE // 1000)
    noise = np.random.default_rng(0).normal(0, _DITHER, len(padded))
    return bytes(np.clip(padded + noise, -32768, 32767).astype(np.int16).tobytes())
