"""The model card of a bundle: what it is, was made of and does, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from emotrack.models.network import EmotionNetwork
from emotrack.train.recipe import Recipe

DATA = {
    "meld": "| MELD (sitcom dialogue, English) | words, conversation | repository GPL-3.0; text for research |",
    "emorynlp": "| EmoryNLP (sitcom dialogue, English) | words | as published with MELD |",
    "goemotions": "| GoEmotions (Reddit comments, English) | words | Apache-2.0 / CC BY 4.0 |",
    "ravdess": "| RAVDESS, actors 1-16 (acted, English) | voice | CC BY-NC-SA 4.0 |",
    "tess": "| TESS, two women (acted, English) | voice | CC BY-NC(-ND) |",
    "nemo": "| nEMO, six speakers (acted, Polish) | voice | CC BY-NC-SA 4.0 |",
    "emodb": "| EmoDB, seven speakers (acted, German) | voice | unverified |",
}

CARD = """\
---
license: cc-by-nc-sa-4.0
language: en
tags: [emotion-recognition, speech, conversation]
---

# emotrack {name}

Tells, turn by turn and from the past alone, which of {labels} a speaker in a conversation shows, from voice, words, or
both. {parameters:.1f} M parameters, half precision on disk.

- **Words**: a {text_layers}-layer BERT, first weights from `all-MiniLM-L6-v2` (Apache-2.0), its vocabulary pruned to
  the training texts of {vocabulary}; fine-tuned on {phases}.
- **Voice**: log-mel frames, a small convolutional stem, blocks of convolution and self-attention, attentive
  statistics; trained from nothing on acted speech, with the hidden states of Whisper tiny.en (MIT) as a second target.
  None of Whisper's weights are in here.
- **Conversation**: calibrated opinions of both are multiplied as Bayes' rule has it, and shifted by the estimates of
  the last {context} turns, as the labels of MELD's training dialogues follow one another.

A turn is called *uncertain* when no emotion reaches a probability of {threshold:.2f}.

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

- The voices it learned from are acted, by few speakers, in a quiet room. Acted speech transfers poorly to real
  conversation: expect much less than the figures for acted clips.
- The words it learned from are mostly American sitcom dialogue. Other languages and registers are unknown to it.
  Disgust and fear are rare there, and it finds few of them.
- No corpus it was trained on has both voice and words of real conversation, so how it weighs one against the other is
  derived, not learned.
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
        rows.append(f"| {what} | {scores['count']} | {' | '.join(values)} |")
    return CARD.format(
        name=network.name,
        labels=", ".join(network.labels),
        parameters=sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        text_layers=network.config.text.layers,
        vocabulary=", ".join(recipe.text.vocabulary),
        phases=", then ".join(phase.corpus for phase in recipe.text.phases),
        context=network.default_context,
        threshold=network.config.uncertain_below,
        data="\n".join(DATA[name] for name in DATA if name in recipe.needs),
        seed=measured["seed"],
        table="\n".join(rows),
    )
