"""Recipes: every choice of a training run, in one TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from emotrack.models.bounds import MAX_SPEECH_S, MIN_SPEECH_S
from emotrack.models.care import CareConfig
from emotrack.models.config import BaselineHeadConfig, SpeechHeadConfig
from emotrack.models.context_network import ContextConfig
from emotrack.models.sizes import Count, Dropout, EarlierTurns, Flag, Name, Positive, Share, Weight, fault
from emotrack.models.whisper import WhisperCareConfig
from emotrack.train.corpora import FOLDS, READERS
from emotrack.train.corpora.acted_corpora import ACTED
from emotrack.train.data.conversations import ConversationOptions
from emotrack.train.data.pairing import PairingOptions
from emotrack.train.errors import TrainError
from emotrack.train.learning.loop import LoopOptions
from emotrack.train.learning.lora import LoraOptions
from emotrack.train.learning.losses import LossOptions

PACKAGED = Path(__file__).parent
DATA = (
    "encoder",
    "care",
    "teacher",
    "speech-encoder",
    "text-teacher",
    "words",
    "features",
    *(name for name in READERS if name not in FOLDS),
    *ACTED,
)  # all that a recipe may be made of, by name


MAX_BYTES = 1 << 20
FOLDER_NAME = re.compile(r"\w[\w.+-]*")  # of a run: it leads nowhere else, and is no option

_Tokens = Annotated[int, Field(strict=True, ge=8, le=8_192)]
_Frozen = Annotated[int, Field(strict=True, ge=0, le=100)]
_Several = Annotated[int, Field(strict=True, ge=2, le=1_000)]
_Part = Annotated[float, Field(strict=True, gt=0.0, le=1.0, allow_inf_nan=False)]
_Fraction = Annotated[float, Field(strict=True, gt=0.0, lt=1.0, allow_inf_nan=False)]
_Number = Annotated[float, Field(strict=True, ge=-100.0, le=100.0, allow_inf_nan=False)]
_Steepness = Annotated[float, Field(strict=True, gt=0.0, le=100.0, allow_inf_nan=False)]
_Stretch = Annotated[float, Field(strict=True, ge=MIN_SPEECH_S, le=MAX_SPEECH_S, allow_inf_nan=False)]


@dataclass(frozen=True)
class StageRecipe:
    """One training: a stage, or a phase of one."""

    loop: LoopOptions
    loss: LossOptions = Field(default_factory=LossOptions)


@dataclass(frozen=True, kw_only=True)
class TextPhase(StageRecipe):
    """One corpus that the text encoder is trained on, with a head of its own."""

    corpus: str


@dataclass(frozen=True)
class TextTeacher:
    """A larger encoder that learns the last phase's corpus first, and whose opinions of it are learned from too."""

    encoder: str  # hub id or folder; --data text-teacher=DIR is taken instead
    loop: LoopOptions
    share: _Part  # of a target that is its opinion; the rest is the label
    frozen: _Frozen = 0  # of its layers, from the first, stay as they are


@dataclass(frozen=True)
class OpinionRecipe:
    """A second opinion on words alone, by their tokens, which another corpus gives."""

    corpus: str
    level: _Number  # of the opinion's share, before the sigmoid, for a turn that is as likely of either corpus
    steepness: _Steepness  # by which the share grows with how much likelier a turn is of the other corpus


@dataclass(frozen=True)
class TextRecipe:
    """Stage I, words. The phases follow one another; the last one, on the recipe's corpus, gives the classifier."""

    phases: tuple[TextPhase, ...]
    max_tokens: _Tokens = 128
    turns_before: EarlierTurns = 0  # how many earlier turns the encoder reads with a turn
    encoder: str | None = None  # a hub id or folder; without one, a small BERT from --data encoder=DIR
    lora: LoraOptions | None = None  # adapters of that hub encoder, trained in the place of its weights
    features: Flag = False  # or none: the embeddings of --data features=DIR, on which a classifier is trained
    origin: str = ""  # whose weights those of --data encoder=DIR are, for the model card
    vocabulary: tuple[str, ...] = ()  # corpora whose training texts say which tokens of the small BERT are kept
    dropout: Dropout = 0.1  # of the embedding
    pretraining: StageRecipe | None = None  # on silver labels, before all phases
    teacher: TextTeacher | None = None
    opinion: OpinionRecipe | None = None  # beside the finished words


@dataclass(frozen=True)
class CareRecipe:
    """CARE's own training, on speech and its transcripts, before stage I."""

    loop: LoopOptions
    acoustic: Weight = 1.0  # weight of the acoustic loss beside the semantic one
    crop_s: _Stretch = 5.0  # longest stretch of an utterance that is heard at a time
    shortest_s: _Stretch = 2.0  # shorter utterances are left out
    held_out: _Fraction = 0.05  # share of the utterances, as whole speakers or recordings


@dataclass(frozen=True)
class ActedSpeechRecipe:
    """Stage I, voice: a small CARE trained with its head on acted clips, with a teacher."""

    draws: dict[str, Positive]  # how often each clip of a corpus is drawn in an epoch
    labels: Weight  # among the losses: of what the actors meant
    listener: Weight  # of what a listener hears who has not met them
    frames: Weight  # of the teacher's states, frame by frame
    summaries: Weight  # of their mean and deviation over the utterance
    loop: LoopOptions
    teacher: str = "a Whisper"  # whose encoder --data teacher=FILE has, for the model card
    dropout: Dropout = 0.2
    pretraining: CareRecipe | None = None
    encoder: CareConfig = Field(default_factory=CareConfig)
    head: SpeechHeadConfig = Field(default_factory=SpeechHeadConfig)


@dataclass(frozen=True)
class TuningRecipe:
    """The last step of a measured voice: the upper blocks of its encoder, tuned beneath the head as it is."""

    steps: Count  # of a run
    runs: Count = 3  # of other drawings, whose weights are averaged
    learning_rate: Positive = 1e-4  # falls to zero in a cosine
    frozen: _Frozen = 1  # blocks, from the first, that stay as they are
    speakers: Count = 4  # that are heard in a step, each by itself
    clips: _Several = 12  # of each
    opinions: Share = 0.5  # of a target that is what the voice, as it was, makes of the same recording
    back: Share = 0.01  # of the way to what they were, that weights are drawn back at every step


@dataclass(frozen=True)
class MeasuredSpeechRecipe:
    """Stage I, voice: a pre-trained encoder as it is, and a head that measures voices against their baseline."""

    draws: dict[str, Positive]  # how much each clip of a corpus counts
    clips: Count  # of a speaker at most, from all through their corpus
    rooms: Count  # in which every clip is recorded anew, whole
    stretches: Count  # of every clip, in yet other rooms, for stages II and III
    penalty: Positive  # on the squared weights of both views
    crossed: Weight = 0.0  # how much a clip at the speed of the other gender's voices counts beside the clip
    encoder: WhisperCareConfig = Field(default_factory=WhisperCareConfig)
    origin: str = "a Whisper"  # whose encoder --data speech-encoder=FILE has, for the model card
    tuning: TuningRecipe | None = None  # after stage III
    head: BaselineHeadConfig = Field(default_factory=BaselineHeadConfig)


@dataclass(frozen=True)
class FrozenSpeechRecipe:
    """Stage I, voice: a head on the features of a frozen encoder, on the recipe's own corpus."""

    loop: LoopOptions
    encoder: str | None = None  # hub id or folder of WavLM, HuBERT, wav2vec 2.0 or Whisper
    care: tuple[str, str] | None = None  # or hub ids or folders of a WavLM and a RoBERTa, which make a CARE
    features: Flag = False  # or none: the embeddings of --data features=DIR
    pretraining: CareRecipe | None = None  # of that CARE
    loss: LossOptions = Field(default_factory=LossOptions)
    dropout: Dropout = 0.2
    head: SpeechHeadConfig = Field(default_factory=SpeechHeadConfig)


@dataclass(frozen=True)
class ContextRecipe:
    """Stage II, which is trained for each modality by itself."""

    text: StageRecipe
    speech: StageRecipe


@dataclass(frozen=True)
class Recipe:
    """How a bundle is made."""

    name: Name
    corpus: str  # of conversations: what the network answers, and what dev scores choose by
    text: TextRecipe
    speech: ActedSpeechRecipe | MeasuredSpeechRecipe | FrozenSpeechRecipe
    network: ContextConfig
    conversations: ConversationOptions
    stage2: ContextRecipe
    stage3: StageRecipe
    right_when_certain: Share  # share of the certain turns on dev that are to be right
    labels: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    """Of one's own, and which of its corpus's labels each stands for; turns with any other are context."""
    joint: StageRecipe | None = None  # all but the speech encoder at once, for comparison
    pairing: PairingOptions | None = None  # how acted voices are given to the corpus's words; it has its own without

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the data it is made of."""
        acted: list[str] = []
        if (of_actors := self.acted) is not None:
            acted = ["speech-encoder" if isinstance(of_actors, MeasuredSpeechRecipe) else "teacher", *of_actors.draws]
        given = ["features"] if self.text.features or getattr(self.speech, "features", False) else []
        return tuple(dict.fromkeys([*self.needs_for_words, *acted, *given]))

    @property
    def acted(self) -> ActedSpeechRecipe | MeasuredSpeechRecipe | None:
        """How its voice is made, if that learns from actors."""
        return None if isinstance(self.speech, FrozenSpeechRecipe) else self.speech

    @property
    def tuning(self) -> TuningRecipe | None:
        """How the blocks of its voice are tuned after stage III, if they are."""
        return self.speech.tuning if isinstance(self.speech, MeasuredSpeechRecipe) else None

    @property
    def needs_for_words(self) -> tuple[str, ...]:
        """The names of the data that Stage I's words are made of."""
        corpora = [*self.text.vocabulary, *(phase.corpus for phase in self.text.phases)]
        corpora += [self.text.opinion.corpus] if self.text.opinion else []
        return tuple(dict.fromkeys([*self.needs_for_encoder, *corpora]))

    @property
    def needs_for_encoder(self) -> tuple[str, ...]:
        """The names of the data that its text encoder begins with, which may be one of the hub."""
        return () if self.text.encoder or self.text.features else ("encoder",)


def misnamed(data: Collection[str], recipe: Recipe, needs: Iterable[str]) -> str | None:
    """The fault of the data that a command line names: an unknown name, or one that is missing."""
    if unknown := sorted(set(data) - {*DATA, *FOLDS}):
        return f"no data {unknown[0]!r}: there are {', '.join(DATA)}"
    spared = set(recipe.needs_for_words) - {recipe.corpus} if "words" in data else set()
    missing = next((name for name in needs if name not in data and name not in spared), None)
    return f"recipe {recipe.name} also needs --data {missing}=PATH" if missing else None


def load_recipe(name_or_path: str, changes: Sequence[tuple[str, str]] = ()) -> Recipe:
    """Read a packaged recipe or a file.

    Args:
        name_or_path: of the recipe.
        changes: where a value stands (``network.hidden``, ``text.phases.0.loop.epochs``), and what is there instead, as
            TOML has it; what is no TOML is a text.

    Raises:
        TrainError: there is none, or it says something that a recipe cannot say.
    """
    path = PACKAGED / f"{name_or_path}.toml"  # paper/meld too
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        names = (recipe.relative_to(PACKAGED).with_suffix("").as_posix() for recipe in PACKAGED.rglob("*.toml"))
        packaged = ", ".join(sorted(names))
        raise TrainError(f"no recipe {name_or_path!r}: give a TOML file, or one of {packaged}")
    if path.stat().st_size > MAX_BYTES:
        raise TrainError(f"{path}: not TOML: more than {MAX_BYTES:,} bytes are no recipe")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise TrainError(f"{path}: not TOML: {error}") from error
    for where, value in changes:
        _change(document, where, value)
    said_by = f"{path}, with --set {', '.join(where for where, _ in changes)}" if changes else path
    try:
        recipe = TypeAdapter(Recipe).validate_python(document, extra="forbid")
    except ValidationError as error:
        raise TrainError(f"{said_by}: {fault(error)}") from error
    if complaint := _complaint(recipe):
        raise TrainError(f"{said_by}: {complaint}")
    return recipe


def on_corpus(recipe: Recipe, corpus: str) -> Recipe:
    """The same recipe on another corpus, with that in its name. Raises ``TrainError`` where they do not go together."""
    last = replace(recipe.text.phases[-1], corpus=corpus)
    text = replace(recipe.text, phases=(*recipe.text.phases[:-1], last))
    found = replace(recipe, name=f"{recipe.name}-{corpus}", corpus=corpus, text=text)
    if complaint := _complaint(found):
        raise TrainError(f"{recipe.name}: {complaint}")
    return found


def _change(document: dict[str, Any], where: str, value: str) -> None:
    *path, last = where.split(".")
    inside: Any = document
    try:
        for part in path:
            inside = inside[_place(part)] if isinstance(inside, list) else inside.setdefault(part, {})
        if isinstance(inside, list):
            inside[_place(last)] = _toml(value)
        else:
            inside[last] = _toml(value)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise TrainError(f"--set {where}: there is no such place in the recipe") from error


def _place(number: str) -> int:
    if not number.isdecimal():
        raise ValueError(number)
    return int(number)


def _toml(value: str) -> object:
    """A value as TOML has it; what is none is a text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _complaint(recipe: Recipe) -> str | None:
    """Choices that do not go together in a recipe, or a name that leads out of its folder."""
    if not FOLDER_NAME.fullmatch(recipe.name):
        return f"name: {recipe.name!r} is no name for a folder"
    if recipe.corpus not in READERS:
        return f"corpus: no corpus of conversations {recipe.corpus!r}"
    if not recipe.text.phases or recipe.text.phases[-1].corpus != recipe.corpus:
        return f"text.phases: the last phase is on the recipe's corpus, {recipe.corpus}"
    if (recipe.acted is not None) != (recipe.pairing is not None):
        return "pairing: acted voices, and no others, are paired with words"
    named = [(f"text.phases.{number}.corpus", phase.corpus) for number, phase in enumerate(recipe.text.phases)]
    named += [("text.vocabulary", corpus) for corpus in recipe.text.vocabulary]
    named += [("text.opinion.corpus", recipe.text.opinion.corpus)] if recipe.text.opinion else []
    if unknown := next(
        (f"{where}: no corpus of texts {corpus!r}" for where, corpus in named if corpus not in READERS), ""
    ):
        return unknown
    return _complaint_of_text(recipe) or _complaint_of_labels(recipe) or _complaint_of_speech(recipe.speech)


def _complaint_of_text(recipe: Recipe) -> str | None:
    if recipe.text.features and (recipe.text.encoder or recipe.acted is not None or len(recipe.text.phases) > 1):
        return "text.features: are of the recipe's corpus, and stand alone: no encoder, no other phase, no acted voices"
    if recipe.text.lora is not None and recipe.text.encoder is None:
        return "text.lora: adapts an encoder of the hub, which text.encoder names"
    if recipe.text.opinion is not None and (recipe.text.encoder or recipe.text.features):
        return "text.opinion: reads the tokens of a small BERT: no encoder of the hub, and no features"
    if recipe.text.opinion is not None and recipe.text.opinion.corpus == recipe.corpus:
        return f"text.opinion.corpus: is another one than the recipe's own, {recipe.corpus}"
    return None


def _complaint_of_labels(recipe: Recipe) -> str | None:
    sources = [source for each in recipe.labels.values() for source in each]
    if twice := next((source for source in sources if sources.count(source) > 1), None):
        return f"labels: {twice!r} is named twice"
    if empty := next((label for label, each in recipe.labels.items() if not each), None):
        return f"labels.{empty}: names no label of the corpus"
    if len(recipe.labels) == 1:
        return "labels: with one label there is nothing to tell apart"
    if recipe.labels and recipe.acted is not None:
        return "labels: acted voices show emotions of their own: leave [labels] out"
    return None


def _complaint_of_speech(speech: ActedSpeechRecipe | MeasuredSpeechRecipe | FrozenSpeechRecipe) -> str | None:
    if not isinstance(speech, FrozenSpeechRecipe):
        if unknown := sorted(set(speech.draws) - set(ACTED)):
            return f"speech.draws: no acted corpus {unknown[0]!r}"
        if isinstance(speech, MeasuredSpeechRecipe) and speech.tuning and speech.tuning.frozen >= speech.encoder.blocks:
            return "speech.tuning.frozen: leaves no block to be tuned"
        return None
    if (speech.encoder is not None) + (speech.care is not None) + speech.features != 1:
        return "speech: name either an encoder, or the two that care is made of, or say features = true"
    if speech.pretraining and speech.care is None:
        return "speech.pretraining: is that of a CARE, and there is none"
    return None
