"""A recipe's conversations through the frozen Stage I: encoded once, kept on disk, and put before stages II and III.

Notation: N lines, V readings of each, M clips, E embedding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from emotrack.models.care import Care, SpeechFeatures
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.features import LogMel
from emotrack.models.hub_encoders import HubSpeechEncoder
from emotrack.models.labels import EMOTIONS
from emotrack.models.network import EmotionNetwork
from emotrack.train.corpora import READERS, Corpus
from emotrack.train.corpora.acted_corpora import Clip, read_clips, split_of
from emotrack.train.data.audio import read_audio
from emotrack.train.data.augment import stretch
from emotrack.train.data.conversations import Conversations, EncodedDialogue, Recorded
from emotrack.train.data.dialogues import as_turn, converse, hear_if_readable
from emotrack.train.data.given import read_with_given
from emotrack.train.data.pairing import Lines, Paired, PairingOptions, Voices
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import encode_dialogue
from emotrack.train.learning.loop import pad
from emotrack.train.learning.losses import UNLABELLED
from emotrack.train.recipes.recipe import ActedSpeechRecipe, MeasuredSpeechRecipe, Recipe
from emotrack.train.running.cache import cached, origin_of
from emotrack.train.running.progress import track
from emotrack.train.stages.clip_features import DRAWN_WITH, ClipFeatures, Versions, clip_features
from emotrack.train.stages.speech_stage import FRAME_MULTIPLE, another_recording
from emotrack.train.stages.text_stage import Reading, embed, read_dialogue

CLIPS_AT_ONCE = 8
NOT_ENCODING = tuple(f"speech_head.{part}" for part in ("classify.", "variance", "networks.", "prototypes"))
DEV_ORDERS = 4  # of the same acted clips: one order of a few hundred turns tells little of what context does


@dataclass(frozen=True, slots=True)
class Training:
    """The conversations from which stages II and III learn."""

    text: Conversations  # for stage II of the words
    speech: Conversations  # for stage II of the voice
    both: Conversations  # for stage III


@dataclass(frozen=True, slots=True)
class Dev:
    """The conversations by which they are chosen."""

    text: list[EncodedDialogue]
    speech: list[EncodedDialogue]
    both: list[EncodedDialogue]  # all there is, with all that is heard of it


def training_conversations(network: EmotionNetwork, recipe: Recipe, data: dict[str, Path], out: Path) -> Training:
    """Encode a recipe's conversations, or load those that an earlier run of the same Stage I encoded.

    Args:
        network: a Stage-I bundle.
        recipe: says which conversations.
        data: where corpora lie.
        out: the run's folder; ``readings-train.safetensors`` is kept there.

    Raises:
        TrainError: data that is missing or malformed.
    """
    options = recipe.conversations
    text_alone = replace(options, withhold_speech=1.0, withhold_text=0.0)
    speech_alone = replace(options, withhold_speech=0.0, withhold_text=1.0)
    if recipe.acted is not None and recipe.pairing is not None:
        lines, voices = _lines_and_voices(network, recipe, (recipe.acted, recipe.pairing), data, out)
        return Training(
            text=Paired(lines, voices, replace(recipe.pairing, acted=0, voiced=0.0), text_alone),
            speech=Paired(lines, voices, replace(recipe.pairing, astray=0.0), speech_alone),
            both=Paired(lines, voices, recipe.pairing, options),
        )
    corpus = read_with_given(recipe.corpus, data, "train", recipe.labels)
    dialogues = _recorded(network, corpus, out / "readings-train.safetensors")
    return Training(
        text=Recorded(dialogues, text_alone),
        speech=Recorded(dialogues, speech_alone),
        both=Recorded(dialogues, options),
    )


def dev_conversations(network: EmotionNetwork, recipe: Recipe, data: dict[str, Path], out: Path) -> Dev:
    """Encode the dev conversations with the bundle that is judged by them. Raises ``TrainError``."""
    corpus = read_with_given(recipe.corpus, data, "dev", recipe.labels)
    text = _recorded(network, corpus, out / "readings-dev.safetensors")
    if recipe.acted is None:
        return Dev(text, text, text)
    acted = _recorded(network, _acted_dev(recipe.acted, data), out / "readings-dev-acted.safetensors")
    return Dev(
        text=text,
        speech=[
            replace(each, turns=tuple(replace(turn, text=None, words=None) for turn in each.turns)) for each in acted
        ],
        both=[*text, *acted],
    )


# -- acted voices for the lines of a corpus -----------------------------------------------------------------------


def _lines_and_voices(
    network: EmotionNetwork,
    recipe: Recipe,
    acted: tuple[ActedSpeechRecipe | MeasuredSpeechRecipe, PairingOptions],
    data: dict[str, Path],
    out: Path,
) -> tuple[Lines, Voices]:
    """What is left out of lines, and how clips are augmented, is drawn alike for every seed, which may share it."""
    speech, pairing = acted
    generator = torch.Generator().manual_seed(DRAWN_WITH)
    train = READERS[recipe.corpus](data[recipe.corpus], "train")
    clips = train_clips(speech, data)

    def compute() -> dict[str, Tensor]:
        torch.manual_seed(DRAWN_WITH)  # augmentation
        readings = line_readings(network, train)  # N
        partly = [
            embed(network.text_encoder, [_partly(reading, pairing.unread, generator) for reading in readings])
            for _ in range(pairing.readings)
        ]  # (N, E) each
        return {
            "lines": torch.stack(partly, dim=1),  # (N, V, E)
            "voices": _voices(network, speech, clips, pairing, out),  # (M, V, E)
            "words": embed(network.text_encoder, clip_readings(network, clips)),  # (M, E)
        }

    origin = _origin(network, (train.dialogues, clips, pairing))
    tensors = cached(out / "readings-train.safetensors", origin, compute)
    lines = Lines(
        tensors["lines"],
        torch.tensor([_target(turn.emotion, network.labels) for turn in train.turns]),
        [turn.speaker for turn in train.turns],
        _ranges(train),
    )
    voices = Voices(
        tensors["voices"],
        torch.tensor([network.labels.index(clip.emotion) for clip in clips]),
        [clip.speaker for clip in clips],
        tensors["words"],
        torch.tensor([clip.text is not None for clip in clips]),
    )
    return lines, voices


def train_clips(recipe: ActedSpeechRecipe | MeasuredSpeechRecipe, data: dict[str, Path]) -> list[Clip]:
    """The clips of the speakers that are for training, of each no more than the recipe wants."""
    clips = [clip for corpus in recipe.draws for clip in read_clips(data[corpus]) if split_of(clip.speaker) == "train"]
    if isinstance(recipe, ActedSpeechRecipe):
        return clips
    of_speaker: dict[str, list[Clip]] = {}
    for clip in clips:
        of_speaker.setdefault(clip.speaker, []).append(clip)
    return [clip for own in of_speaker.values() for clip in own[:: math.ceil(len(own) / recipe.clips)]]


def clip_readings(network: EmotionNetwork, clips: list[Clip]) -> list[Reading]:
    """The words of clips as the text encoder reads them; nothing where they are not known."""
    each = (network.tokenizer.encode(clip.text or "").ids for clip in clips)
    return [Reading(torch.tensor(ids), len(ids)) for ids in each]


def line_readings(network: EmotionNetwork, corpus: Corpus) -> list[Reading]:
    """Every line of a corpus as the text encoder reads it."""
    return [
        reading
        for dialogue in corpus.dialogues
        for reading in read_dialogue(
            [turn.text or "" for turn in dialogue.turns], network.tokenizer, network.config.text
        )
    ]


def _partly(reading: Reading, unread: float, generator: torch.Generator) -> Reading:
    """The line with a share of its words left out; the marks at both ends of the turn's own words stay.

    A decoder, to which a turn's own words come last, has no marks but the first.
    """
    kept = torch.rand(len(reading.ids), generator=generator) >= unread  # (N,)
    kept[0] = kept[reading.own - 1] = True
    return Reading(reading.ids[kept], int(kept[: reading.own].sum()))


@torch.inference_mode()
def _voices(
    network: EmotionNetwork,
    speech: ActedSpeechRecipe | MeasuredSpeechRecipe,
    clips: list[Clip],
    pairing: PairingOptions,
    out: Path,
) -> Tensor:
    """(M, V, E) embeddings of stretches of clips, each as another recording."""
    if isinstance(speech, MeasuredSpeechRecipe):
        heard = train_features(network.speech_encoder, clips, speech, pairing.unheard, out)
        parts = heard.features[:, -speech.stretches :].unsqueeze(2).float()  # (M, V, 1, F), all layers side by side
        frames = heard.frames[:, -speech.stretches :]  # (M, V)
        told = (SpeechFeatures(part, None, counts) for part, counts in zip(parts, frames, strict=True))
        return torch.stack([network.speech_head.embed(each).cpu() for each in told])
    log_mel = LogMel()
    found = []
    for first in track(range(0, len(clips), CLIPS_AT_ONCE), "encode voices"):
        copies = []
        for clip in clips[first : first + CLIPS_AT_ONCE]:
            frames = log_mel(torch.from_numpy(read_audio(clip.path)))  # (T, MELS)
            copies += [
                stretch(another_recording(frames)[0], pairing.unheard) for _ in range(pairing.readings)
            ]  # (T2, MELS) each
        features, lengths = pad(copies, multiple=FRAME_MULTIPLE)  # (B V, T2, MELS), (B V,)
        encoded = network.speech_encoder(features.to(network.device), lengths.to(network.device))
        embeddings: Tensor = network.speech_head.embed(encoded).cpu()  # (B V, E)
        found.append(embeddings.view(-1, pairing.readings, embeddings.shape[1]))  # (B, V, E)
    return torch.cat(found)


def train_features(
    encoder: Care | HubSpeechEncoder,
    clips: list[Clip],
    recipe: MeasuredSpeechRecipe,
    unheard: float,
    out: Path,
) -> ClipFeatures:
    """Of training clips as they are, in other rooms, and of stretches of them; see ``clip_features``."""
    assert isinstance(encoder, Care)  # noqa: S101
    versions = Versions(recipe.rooms, recipe.stretches, unheard)
    return clip_features(encoder, clips, versions, out / "clip-features.safetensors")


def conversing(recipe: ActedSpeechRecipe | MeasuredSpeechRecipe, data: dict[str, Path]) -> tuple[str, list[Clip]]:
    """The first corpus in which two dev speakers can be put into a conversation, and their clips.

    Raises:
        TrainError: there is none.
    """
    for corpus in recipe.draws:
        clips = [clip for clip in read_clips(data[corpus]) if split_of(clip.speaker) == "dev"]
        if len({clip.speaker for clip in clips}) > 1:
            return corpus, clips
    raise TrainError(f"no two dev speakers in any of {', '.join(recipe.draws)}: no conversations to choose by")


def _acted_dev(recipe: ActedSpeechRecipe | MeasuredSpeechRecipe, data: dict[str, Path]) -> Corpus:
    corpus, clips = conversing(recipe, data)
    turns = [as_turn(clip) for clip in clips]
    generator = torch.Generator().manual_seed(0)  # the same for every run
    orders = [converse(turns, generator) for _ in range(DEV_ORDERS)]
    return Corpus(f"{corpus} in conversation", EMOTIONS, tuple(chain.from_iterable(orders)))


# -- a corpus with voices of its own --------------------------------------------------------------------------------


def _recorded(network: EmotionNetwork, corpus: Corpus, path: Path) -> list[EncodedDialogue]:
    """A corpus's own words and voices, as the file keeps them or as they are encoded now."""

    def compute() -> dict[str, Tensor]:
        encoded = [
            turn.embedding
            for dialogue in track(corpus.dialogues, f"encode {corpus.name}")
            for turn in encode_dialogue(network, [hear_if_readable(turn) for turn in dialogue.turns])
        ]
        return _packed(encoded, network)

    tensors = cached(path, _origin(network, (corpus.dialogues, corpus.given)), compute) if corpus.dialogues else {}
    return _unpacked(tensors, corpus, network.labels)


def _origin(network: EmotionNetwork, encoded: object) -> str:
    """Tells encodings apart by how a network encodes, however far it is trained, and by what is encoded."""
    encoding = ("text_encoder.", "speech_encoder.", "speech_head.")
    weights = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name.startswith(encoding) and not name.startswith(NOT_ENCODING)
    }
    return origin_of(weights, encoded)


def _packed(turns: list[TurnEmbedding], network: EmotionNetwork) -> dict[str, Tensor]:
    """Turns as tensors, zeros where a modality is missing, and which are."""
    text, speech = torch.zeros(network.text_head.embedding), torch.zeros(network.speech_head.voice)  # (E,), (E,)
    return {
        "text": torch.stack([text if turn.text is None else turn.text.cpu() for turn in turns]),  # (N, E)
        "speech": torch.stack([speech if turn.speech is None else turn.speech.cpu() for turn in turns]),  # (N, E)
        "has_text": torch.tensor([turn.text is not None for turn in turns]),  # (N,)
        "has_speech": torch.tensor([turn.speech is not None for turn in turns]),  # (N,)
    }


def _unpacked(tensors: dict[str, Tensor], corpus: Corpus, labels: tuple[str, ...]) -> list[EncodedDialogue]:
    found, place = [], 0
    for dialogue in corpus.dialogues:
        turns = []
        for turn in dialogue.turns:
            speech = tensors["speech"][place] if tensors["has_speech"][place] else None  # (E,)
            text = tensors["text"][place] if tensors["has_text"][place] else None  # (E,)
            turns.append(TurnEmbedding(speech, text, turn.speaker, turn.text))
            place += 1
        targets = torch.tensor([_target(turn.emotion, labels) for turn in dialogue.turns])  # (K,)
        found.append(EncodedDialogue(tuple(turns), targets))
    return found


# -- both -----------------------------------------------------------------------------------------------------------


def _target(emotion: str | None, labels: tuple[str, ...]) -> int:
    return labels.index(emotion) if emotion in labels else UNLABELLED


def _ranges(corpus: Corpus) -> list[range]:
    """The turns of each dialogue, counted through the corpus."""
    found, start = [], 0
    for dialogue in corpus.dialogues:
        found.append(range(start, start + len(dialogue.turns)))
        start += len(dialogue.turns)
    return found
