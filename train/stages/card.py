"""The model card of a bundle: what it is, was made of and does, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from emotrack.models.given import GivenTextConfig
from emotrack.models.network import EmotionNetwork
from emotrack.models.text_encoder import TextConfig
from emotrack.train.corpora import SAME_FOLDER
from emotrack.train.recipes.recipe import ActedSpeechRecipe, MeasuredSpeechRecipe, Recipe

DATA = {
    "meld": "| MELD (sitcom dialogue, English) | words, conversation | repository GPL-3.0; text for research |",
    "emorynlp": "| EmoryNLP (sitcom dialogue, English) | words | as published with MELD |",
    "iemocap": "| IEMOCAP (acted dialogue, English) | words, voice, conversation | its own, for research |",
    "mosi": "| CMU-MOSI (video reviews, English) | words, voice | its own, for research |",
    "goemotions": "| GoEmotions (Reddit comments, English) | words | Apache-2.0 / CC BY 4.0 |",
    "ravdess": "| RAVDESS, actors 1-16 (acted, English) | voice | CC BY-NC-SA 4.0 |",
    "tess": "| TESS, two women (acted, English) | voice | CC BY-NC(-ND) |",
    "nemo": "| nEMO, six speakers (acted, Polish) | voice | CC BY-NC-SA 4.0 |",
    "emodb": "| EmoDB, seven speakers (acted, German) | voice | unverified |",
}

PAIRING = """\
No corpus at hand
  has both voice and words of real conversation, so they learned from dialogues of {corpus} with acted voices that
  agree with the words or do not, and from actors whose words say nothing."""

JOINT = """
- **Jointly**: words and conversation were trained together, from the fused classification alone, not stage by stage."""

AFFECT_OF_LABELS = "what people mean by the labels, each by its probability"

AFFECT_OF_VOICE = f"""{AFFECT_OF_LABELS}, moved by
how much more or less so the voice sounds than what it is taken for, which a ridge regression on acted clips hears"""

PAIRED_LIMITS = """\
- The voices it learned from are acted, by few speakers, in a quiet room. Acted speech transfers poorly to real
  conversation: expect much less than the figures for acted clips.
- The words it learned from are mostly American sitcom dialogue. Other languages and registers are unknown to it.
  Disgust and fear are rare there, and it finds few of them.
- How it weighs voice against words was learned from conversations that were put together, not recorded."""

RECORDED_LIMITS = """\
- How it weighs voice against words was learned from {corpus} alone: few speakers, one language, and one kind of room
  and microphone. Expect less elsewhere."""

NETWORKS = """\
each view has a linear classifier and {networks} small networks, each of which learned from a part of the speakers; """

LIKENESS = (
    "what each label is like in a voice is learned from the turns of its speaker so far that were believed to show it; "
)

CROSSED = ", also with women as low as men and men as high as women"

TUNED = "of which the last {tuned} were tuned at the end, beneath all else as it was"

SOURCES = {
    "text": "{corpus}, words",
    "speech": "conversations of acted clips, voice",
    "both": "the same with what is said, which tells nothing",
}

CARD = """\
---
license: {licence}
language: en
tags: [emotion-recognition, speech, conversation]
---

# emotrack {name}

Tells, turn by turn and from the past alone, which emotion a speaker in a conversation shows, from voice, words or both:
{labels}. {parameters:.1f} M parameters, half precision on disk.

- **Words** (Stage I): {words}.
- **Voice** (Stage I): {voice}.
- **Conversation** (Stages II and III): for each modality a bidirectional GRU and self-attention over the last {context}
  turns, then {blocks} co-attention block{s} of both (MERITS-L, arXiv 2501.11468). {pairing}{joint}
{affect}
A turn is called *uncertain* when no emotion reaches a probability of {threshold:.2f}; a live session doubts more, as
`docs/events.md` says.

## Data and licences

| data | for | licence |
|---|---|---|
{data}

The code is Apache-2.0. **These weights are for non-commercial use**, as the speech they were trained on is.

## What it was measured to do

On the development sets, by which epochs, temperatures and the threshold were also chosen; no test data was used.
Speakers and dialogues of these sets were not trained on. Seed {seed}.

{table}

## Limits

{limits}
- What a person shows is not what a person feels, and what annotators see in it differs between them.

## Not to be used

- To infer emotions of people at work or in education: prohibited in the European Union by Article 5(1)(f) of the AI
  Act, save for medical or safety reasons.
- To decide anything about a person, or on people who were not told and did not agree.
- As a medical device, a lie detector, or a measure of anyone's character.
"""


def model_card(network: EmotionNetwork, recipe: Recipe, measured: dict[str, Any]) -> str:
    """The card of a finished network, in Markdown; ``measured`` as in ``metrics.json``."""
    rows = ["| on dev | turns | weighted F1 | macro F1 | UAR | accuracy | ECE |", "|---|---|---|---|---|---|---|"]
    for what, scores in measured["dev"].items():
        values = (f"{scores[name]:.3f}" for name in ("weighted_f1", "macro_f1", "uar", "accuracy", "ece"))
        heard, _, mode = what.partition(", ")
        source = SOURCES[heard].format(corpus=recipe.corpus) if recipe.pairing else f"{recipe.corpus}, {heard}"
        rows.append(f"| {source}, {mode} | {scores['count']} | {' | '.join(values)} |")
    return CARD.format(
        name=network.name,
        licence="cc-by-nc-sa-4.0" if recipe.pairing else "other",
        limits=PAIRED_LIMITS if recipe.pairing else RECORDED_LIMITS.format(corpus=recipe.corpus),
        labels=", ".join(network.labels),
        parameters=sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        words=_words(network, recipe, measured),
        voice=_voice(network, recipe, measured),
        context=network.default_context,
        blocks=recipe.network.blocks,
        s="s" if recipe.network.blocks > 1 else "",
        pairing=PAIRING.format(corpus=recipe.corpus) if recipe.pairing else "",
        joint=JOINT if "joint" in measured else "",
        affect=_affect(network, recipe),
        threshold=network.config.uncertain_below,
        data="\n".join(_data(recipe)),
        seed=measured["seed"],
        table="\n".join(rows),
    )


def _affect(network: EmotionNetwork, recipe: Recipe) -> str:
    """A paragraph on valence and arousal, where the labels tell them."""
    if network.label_affect is None:
        return ""
    told = AFFECT_OF_VOICE if isinstance(recipe.speech, MeasuredSpeechRecipe) else AFFECT_OF_LABELS
    return f"\nBeside the label it tells valence and arousal: {told}.\n"


def _data(recipe: Recipe) -> list[str]:
    """The rows of the table of data; a corpus may lend nothing but its vocabulary."""
    trained = {SAME_FOLDER.get(phase.corpus, phase.corpus) for phase in recipe.text.phases}
    if recipe.text.opinion is not None:
        trained.add(recipe.text.opinion.corpus)
    needed = {SAME_FOLDER.get(name, name) for name in recipe.needs}
    return [
        row if name in trained else row.replace("| words |", "| vocabulary |")
        for name, row in DATA.items()
        if name in needed
    ]


def _words(network: EmotionNetwork, recipe: Recipe, measured: dict[str, Any]) -> str:
    if isinstance(network.config.text, GivenTextConfig):
        return f"embeddings that another program computed, `{network.config.text.origin}`, and a classifier on them"
    silver = measured.get("pretraining", {})
    phases = ", then ".join(phase.corpus for phase in recipe.text.phases)
    before = f"; a turn is read with the {recipe.text.turns_before} before it" if recipe.text.turns_before else ""
    if isinstance(network.config.text, TextConfig):
        vocabulary = ", ".join(recipe.text.vocabulary)
        first = f", first weights from {recipe.text.origin}" if recipe.text.origin else ""
        made = (
            f"a {network.config.text.layers}-layer BERT{first}, its vocabulary pruned to the training texts of "
            f"{vocabulary}"
        )
    else:
        made = f"`{silver.get('origin', network.config.text.origin)}`"
    if silver:
        made += f", pre-trained on {silver['train']:,} sentences that {silver['annotator']} labelled"
    if "joint" in measured:
        return f"{made}{before}"
    if recipe.text.teacher:
        before += (
            f", with the opinions of `{recipe.text.teacher.encoder}`, fine-tuned on it first, as further targets; none "
            "of its weights are in here"
        )
    tuned = "fine-tuned with low-rank adapters, merged since," if recipe.text.lora else "fine-tuned"
    return f"{made}; {tuned} on {phases}{before}{_opinion(recipe)}"


def _opinion(recipe: Recipe) -> str:
    if recipe.text.opinion is None:
        return ""
    return (
        f"; where there is no voice, what a classifier of tokens that learned from {recipe.text.opinion.corpus} calls "
        f"a turn has the more of a say, the less the turn's tokens are like those of {recipe.corpus}"
    )


def _voice(network: EmotionNetwork, recipe: Recipe, measured: dict[str, Any]) -> str:
    care = measured.get("care")
    begins = f"pre-trained on {care['train']:,} transcribed utterances, then" if care else "trained from nothing"
    if isinstance(recipe.speech, ActedSpeechRecipe):
        return (
            f"a small CARE (front end, common, semantic and acoustic encoders) on log-mel frames, {begins} "
            f"on acted speech, with the hidden states of {recipe.speech.teacher} as further targets; none of Whisper's "
            "weights are in here"
        )
    if isinstance(recipe.speech, MeasuredSpeechRecipe):
        networks = NETWORKS.format(networks=recipe.speech.head.networks) if recipe.speech.head.networks else ""
        likeness = LIKENESS if recipe.speech.head.likeness else ""
        crossed = CROSSED if recipe.speech.crossed else ""
        blocks = recipe.speech.encoder.blocks
        tuned = TUNED.format(tuned=blocks - recipe.tuning.frozen) if recipe.tuning else "as they are"
        return (
            f"the stem and the first {blocks} blocks of the encoder of {recipe.speech.origin}, "
            f"{tuned}; on top, two views of a turn, as it sounds and against the mean and deviation of its speaker "
            "and of the room so far, which is trusted the more the more varied they sounded; a short turn is moved "
            f"towards what is known of training voices; {likeness}{networks}fitted to acted speech, "
            f"as it is and recorded anew in simulated rooms{crossed}, women and men counting alike"
        )
    origin = getattr(network.config.speech, "origin", "")
    return f"a head on the features of a frozen encoder, `{origin}`"
