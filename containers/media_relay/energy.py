"""Whether there is sound in audio that is passed on undecoded: a few octets of it tell. Pure.

A model may stream audio of no amplitude for minutes, and a frozen one lets a caller talk into nothing. Octets arrive in
both cases, so what counts is energy. G.711 mu-law keeps the exponent in bits 4 to 6, inverted: an octet's magnitude is
known without decoding it.
"""

from __future__ import annotations

from binascii import a2b_base64

_SLICE = 32  # characters of base64, so 24 octets: 3 ms
_FRAME = slice(64, 128)  # of one frame of Twilio's: 6 ms in its middle
_EVERY = 5  # frames: ten looks a second
_FRAME_SECONDS = 0.02
_VOICE_SAMPLES = 3  # a "yes"; what it may lead to, a sign of life, costs nothing
_LONG_SAMPLES = 50  # of a voice, or a noise, that goes on; the same
_QUIET_SAMPLES = 6
_PLAIN_SAMPLES = 6  # words that nobody can have missed; what they may lead to is heard by the caller
_UNHEARD_SAMPLES = 20  # without a voice, after plain words that led to nothing
_LEAST_VOICE = 8  # octets of 48 in a frame that somebody speaks into


def _quieter_than(magnitude: int) -> bytes:
    """The octets of mu-law below a magnitude of 16-bit audio."""

    def of(octet: int) -> int:
        exponent, mantissa = ~octet >> 4 & 0x07, ~octet & 0x0F
        return ((mantissa << 3) + 132 << exponent) - 132

    return bytes(octet for octet in range(256) if of(octet) < magnitude)


_SILENCE = _quieter_than(150)  # of 32,124: a sine at -50 dBFS peaks there
_HUSH = _quieter_than(600)  # a quiet telephone line and its room


def audible(audio: str) -> bool:
    """Whether base64 mu-law has any sound in it, by three short looks: at its middle and at its quarters."""
    quarter = len(audio) // 16 * 4  # base64 is read four characters at a time
    return _sounds(audio, quarter * 2) or _sounds(audio, quarter) or _sounds(audio, quarter * 3)


def _sounds(audio: str, at: int) -> bool:
    return bool(a2b_base64(audio[at : at + _SLICE]).translate(None, _SILENCE))


def voice(frame: str) -> bool:
    """Whether somebody seems to speak in one frame of Twilio's, by its middle."""
    return len(a2b_base64(frame[_FRAME]).translate(None, _HUSH)) >= _LEAST_VOICE


class Caller:
    """The caller's voice, one frame in five: has somebody spoken, if only a word, and stopped?

    `misses`: how often in a row plain words were given up as unheard.
    """

    def __init__(self) -> None:
        self.misses = 0
        self._frames = 0
        self._voice = 0  # samples with a voice since the last pause
        self._quiet = 0  # samples without, in a row
        self._plain = 0  # samples with a voice while nothing else was to be heard, since the last long pause

    def spoke(self, frame: str, *, alone: bool = False) -> bool:
        """One more frame: whether with it a turn of the caller is over, as far as energy can tell.

        `alone`: nothing is being played, so that no echo of it can be taken for a voice.
        """
        self._frames += 1
        if self._frames % _EVERY:
            return False
        if voice(frame):
            self._voice, self._quiet, self._plain = self._voice + 1, 0, self._plain + alone
            return False
        self._quiet += 1
        if self._quiet < _QUIET_SAMPLES:
            return False
        spoken, self._voice = self._voice, 0
        if self._quiet >= _UNHEARD_SAMPLES and self._plain < _PLAIN_SAMPLES:
            self._plain = 0
        return spoken >= _VOICE_SAMPLES

    def noticed(self) -> None:
        """The model has heard it, too, or it was nothing to be heard."""
        self._voice = self._quiet = self._plain = self.misses = 0

    @property
    def goes_on(self) -> bool:
        """Whether there is a voice, or a noise, for five seconds now, or ten, or fifteen."""
        return self._voice > 0 and self._voice % _LONG_SAMPLES == 0

    @property
    def unheard(self) -> bool:
        """Whether there were plain words, and then two seconds of nothing: neither more words nor `noticed`."""
        return self._plain >= _PLAIN_SAMPLES and self._quiet >= _UNHEARD_SAMPLES

    def missed(self) -> int:
        """Give these words up as unheard: how often that was done, since the model last noticed any."""
        misses = self.misses + 1
        self.noticed()
        self.misses = misses
        return misses

    @property
    def quiet_seconds(self) -> float:
        """How long nobody has spoken, since the model noticed that somebody did."""
        return self._quiet * _EVERY * _FRAME_SECONDS
