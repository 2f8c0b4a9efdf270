"""A second opinion on words: logistic regressions on the tokens of another corpus, which take seconds to fit.

One tells that corpus's labels, the other that corpus from the network's own; both read the training texts alone.

Notation: M turns, N tokens of all of them, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotrack.models.bundle import load_bundle
from emotrack.models.labels import canonical
from emotrack.models.network import EmotionNetwork
from emotrack.models.second_opinion import FEW, SecondOpinion
from emotrack.train.corpora import read_text_corpus
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import EncodedTurn
from emotrack.train.recipes.recipe import OpinionRecipe, Recipe
from emotrack.train.running.ranks import training_device

EPOCHS, BATCH, LEARNING_RATE = 6, 1024, 0.02
PENALTY = 1e-5  # on the squared numbers of all tokens
AT_MOST = 20_000  # turns of the other corpus that tell it from the network's own


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Texts as a logistic regression reads them."""

    tokens: list[Tensor]  # M, of each turn, without marks
    targets: Tensor  # (M,)


def with_second_opinion(network: EmotionNetwork, recipe: Recipe, data: dict[str, Path]) -> EmotionNetwork:
    """The network, and beside its words an opinion of the recipe's other corpus, if it names one.

    Words that are taken over from a bundle keep the opinion that they have there, or have none.

    Raises:
        TrainError: a corpus is missing, or has none of the network's labels.
    """
    known = load_bundle(data["words"]).second_opinion if "words" in data else None
    if recipe.text.opinion is None or ("words" in data and known is None):
        return network
    found = EmotionNetwork(replace(network.config, second_opinion=True), network.tokenizer)
    found.load_state_dict(found.state_dict() | network.state_dict())
    assert found.second_opinion is not None  # noqa: S101
    if known is not None:
        found.second_opinion.load_state_dict(known.state_dict())
    else:
        _fit(found.second_opinion, network, recipe.text.opinion, (recipe.corpus, data))
    found.metrics, found.card = network.metrics, network.card
    return found.eval().to(training_device())


def asked_again(network: EmotionNetwork, dialogues: list[list[EncodedTurn]]) -> list[list[EncodedTurn]]:
    """Turns that were encoded before the network had a second opinion, with what that is made of."""
    if network.second_opinion is None:
        return dialogues
    return [[_with_opinion(network, network.second_opinion, turn) for turn in turns] for turns in dialogues]


def _with_opinion(network: EmotionNetwork, opinion: SecondOpinion, turn: EncodedTurn) -> EncodedTurn:
    embedding = turn.embedding
    if embedding.text is None or embedding.words is None:
        return turn
    with torch.inference_mode():
        told = opinion(_tokens(network, embedding.words).to(network.device))  # (C + 1,)
        text = torch.cat([embedding.text.to(network.device), told])  # (E',)
    return replace(turn, embedding=replace(embedding, text=text))


def _fit(
    opinion: SecondOpinion, network: EmotionNetwork, options: OpinionRecipe, own: tuple[str, dict[str, Path]]
) -> None:
    corpus, data = own
    others = _tokenised(network, read_opinions(options, data, network.labels))
    texts = [each.text for each in read_text_corpus(corpus, data[corpus], "train").utterances]
    ours = [_tokens(network, text) for text in texts]  # M
    labels = len(network.labels)
    called, called_bias = fit_tokens(others, network.config.text.vocabulary, labels)
    theirs = others.tokens[:AT_MOST]
    origin = torch.tensor([0] * len(ours) + [1] * len(theirs))  # (M,)
    apart, apart_bias = fit_tokens(Tokenised([*ours, *theirs], origin), network.config.text.vocabulary, 2)
    with torch.no_grad():
        opinion.tokens.weight[:, :labels] = called
        opinion.bias[:labels] = called_bias
        opinion.tokens.weight[:, labels] = options.steepness * (apart[:, 1] - apart[:, 0])
        opinion.bias[labels] = options.level + options.steepness * (apart_bias[1] - apart_bias[0])


def read_opinions(options: OpinionRecipe, data: dict[str, Path], labels: Sequence[str]) -> list[tuple[str, str]]:
    """The training texts of another corpus that have one label, and one of ``labels``: each with its label.

    Raises:
        TrainError: the corpus is missing, or has none of the labels.
    """
    texts = read_text_corpus(options.corpus, data[options.corpus], "train").labelled
    known = [(each.text, canonical(each.labels[0])) for each in texts if len(each.labels) == 1]
    found = [(text, label) for text, label in known if label is not None and label in labels]
    if not found:
        raise TrainError(f"{options.corpus}: has no text with one label alone, of {', '.join(labels)}")
    return found


def _tokenised(network: EmotionNetwork, texts: Sequence[tuple[str, str]]) -> Tokenised:
    targets = [network.labels.index(label) for _, label in texts]
    return Tokenised([_tokens(network, text) for text, _ in texts], torch.tensor(targets))


def _tokens(network: EmotionNetwork, text: str) -> Tensor:
    return torch.tensor(network.tokenizer.encode(text).ids[1:-1], dtype=torch.long)  # (N,)


def fit_tokens(texts: Tokenised, vocabulary: int, labels: int) -> tuple[Tensor, Tensor]:
    """A logistic regression on the tokens of texts -> (V, C) of each token, (C,) of all texts."""
    rows = nn.EmbeddingBag(vocabulary, labels, mode="sum")
    nn.init.zeros_(rows.weight)
    bias = nn.Parameter(torch.zeros(labels))
    optimiser = torch.optim.Adam([rows.weight, bias], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        order = torch.randperm(len(texts.tokens), generator=generator)  # (M,)
        for places in (order[first : first + BATCH] for first in range(0, len(order), BATCH)):
            flat, starts, lengths = _side_by_side([texts.tokens[place] for place in places.tolist()])
            scores = rows(flat, starts) / (lengths + FEW).sqrt()[:, None] + bias  # (B, C)
            loss = nn.functional.cross_entropy(scores, texts.targets[places])
            loss = loss + PENALTY * rows.weight.square().sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return rows.weight.detach(), bias.detach()


def _side_by_side(tokens: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """B texts -> (N,) all tokens, (B,) where each text begins, (B,) how many it has."""
    lengths = torch.tensor([len(each) for each in tokens])  # (B,)
    return torch.cat(list(tokens)), lengths.cumsum(0) - lengths, lengths
