"""The ringing tone."""

from __future__ import annotations

import base64

import numpy as np

from containers.media_relay import ringback
from simulators import audio


def test_a_ring_is_two_seconds_of_440_and_480_hertz_below_the_agents_voice() -> None:
    heard = base64.b64decode(ringback.payload(), validate=True)
    assert len(heard) == ringback.OCTETS == 16_000
    assert -26 < audio.level(heard) < -14
    spectrum = np.abs(np.fft.rfft(audio.decode(heard)))
    assert sorted(np.argsort(spectrum)[-2:] / 2) == [440, 480]


def test_the_pause_between_two_rings_is_under_two_and_a_half_seconds() -> None:
    assert ringback.EVERY - ringback.ON_SECONDS < 2.5


def test_every_sample_comes_back_from_mu_law_within_one_step() -> None:
    samples = np.arange(-32767, 32768).astype(np.int16)
    back = audio.decode(bytes(ringback._mu_law(int(one)) for one in samples)).astype(int)
    assert np.all(np.abs(back - samples) <= 8 + np.abs(samples.astype(int)) / 30)
