"""One voice alone is enrolled, by the real networks; too little speech and several voices are not."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.speakers.enrolment import Enrolment
from emotrack.tracker.speakers.networks import SpeakerNetworks, VoicePrint, load_speaker_networks
from tests.tracker.kitchen_table import samples

ANA, BEN = 0, 1  # channels of the bundled conversation


@pytest.fixture(scope="module")
def networks() -> SpeakerNetworks:
    return load_speaker_networks()


def enrolled(sound: Samples, networks: SpeakerNetworks) -> tuple[VoicePrint, float]:
    async def hear() -> tuple[VoicePrint, float]:
        enrolment = Enrolment(networks)
        for start in range(0, len(sound), 1600):
            await enrolment.hear(AudioChunk(sound[start : start + 1600, None], start))
        return await enrolment.finish()

    return asyncio.run(hear())


def test_prints_are_of_their_own_person(networks: SpeakerNetworks) -> None:
    """Compared as sessions compare them: the product of a mean and another turn's print."""
    sound = samples()
    half = len(sound) // 2
    first = [enrolled(sound[:half, channel], networks) for channel in (ANA, BEN)]
    later = [enrolled(sound[half:, channel], networks) for channel in (ANA, BEN)]
    for voice_print, seconds in [*first, *later]:
        assert 5.0 < seconds < half / SAMPLE_RATE
        assert 0.7 < np.linalg.norm(voice_print) <= 1.0
    for one in (ANA, BEN):
        assert first[one][0] @ later[one][0] > 0.6
        assert first[one][0] @ later[1 - one][0] < 0.3


def test_two_voices_are_not_one(networks: SpeakerNetworks) -> None:
    with pytest.raises(EmotrackError, match=r"^2 voices were heard, .* in 5\d% of the speech"):
        enrolled(samples().mean(axis=1), networks)


@pytest.mark.parametrize("seconds", [0.0, 6.0])
def test_a_few_words_are_not_enough(networks: SpeakerNetworks, seconds: float) -> None:
    with pytest.raises(EmotrackError, match=r"^only \d\.\d s of clear speech were heard, and a voice print takes 5"):
        enrolled(samples()[: round(seconds * SAMPLE_RATE), ANA], networks)


def test_a_word_of_somebody_else_is_left_out(networks: SpeakerNetworks) -> None:
    """A tenth of the speech may be another's, and is none of the print."""
    sound = samples()
    alone, _ = enrolled(sound[:, ANA], networks)
    with_ben = np.concatenate([sound[:, ANA], sound[: round(6.0 * SAMPLE_RATE), BEN]])
    disturbed, _ = enrolled(with_ben, networks)
    assert disturbed @ alone > 0.98 * (alone @ alone)
