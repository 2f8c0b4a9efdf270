"""Snapshots: what was remembered goes on in another process as if nothing had happened, or is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from emotrack.models.context import MAX_SNAPSHOT_BYTES, RollingContext, SnapshotError
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from tests.models.conftest import tiny_network
from tests.models.test_conversation import TURNS, turn

NETWORK = tiny_network()
SCORER = ConversationScorer(NETWORK)
TALK = [("Ana", "i am so happy"), ("Ben", "not today !"), (None, "so sad"), ("Ana", "happy ."), ("Ben", "i am")] * 2


def snapshot(turns: int = 4) -> bytes:
    context = SCORER.new_context(turns)
    for each in TURNS:
        SCORER.estimate(context, each)
    return context.to_bytes()


SNAPSHOT = snapshot()


def changed(
    facts: Callable[[dict[str, Any]], Any] = lambda facts: None,
    tensors: Callable[[dict[str, Tensor]], Any] = lambda tensors: None,
) -> bytes:
    """A snapshot with other facts or other tensors in it."""
    kept = load(SNAPSHOT)
    header = json.loads(SNAPSHOT[8 : 8 + int.from_bytes(SNAPSHOT[:8], "little")])
    context = json.loads(header["__metadata__"]["context"])
    facts(context)
    tensors(kept)
    return save(kept, metadata={"context": json.dumps(context)})


def talk(network: EmotionNetwork, context: RollingContext, numbers: range) -> list[object]:
    found: list[object] = []
    for number in numbers:
        speaker, words = TALK[number]
        speech = None if number % 2 else turn(number).speech
        text = network.embed_text(words, context.words)
        found.append(ConversationScorer(network).update(context, TurnEmbedding(speech, text, speaker, words)))
    return found


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 7])
def test_it_goes_on_exactly_as_the_undisturbed_one(network: EmotionNetwork, stop: int) -> None:
    scorer = ConversationScorer(network)
    undisturbed = scorer.new_context()
    expected = talk(network, undisturbed, range(len(TALK)))[stop:]
    stopped = scorer.new_context()
    talk(network, stopped, range(stop))
    restored = scorer.restore_context(stopped.to_bytes())
    assert (restored.size, restored.published, restored.words) == (stopped.size, stopped.published, stopped.words)
    assert talk(network, restored, range(stop, len(TALK))) == expected
    assert restored.to_bytes() == undisturbed.to_bytes()


def test_without_words_there_are_none(network: EmotionNetwork) -> None:
    scorer = ConversationScorer(network)
    context = scorer.new_context()
    talk(network, context, range(5))
    stored = context.to_bytes(with_words=False)
    assert b"sad" in context.to_bytes()
    assert not any(word in stored for word in (b"happy", b"sad", b"today"))
    restored = scorer.restore_context(stored)
    assert restored.words == [None] * 3
    newest = turn(9)
    assert scorer.estimate(restored, newest) == scorer.estimate(context, newest)  # what was encoded stays


def test_long_names_and_texts_are_cut(network: EmotionNetwork) -> None:
    scorer = ConversationScorer(network)
    context = scorer.new_context()
    scorer.update(context, TurnEmbedding(None, turn(0).text, "A" * 9_999, "so " * 9_999))
    assert len(context.to_bytes()) < 3_000
    (restored,) = scorer.restore_context(context.to_bytes()).turns
    assert restored.speaker == "A" * 100


def first(tensors: dict[str, Tensor], value: Tensor) -> None:
    tensors[next(iter(tensors))] = value


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"", "not a snapshot"),
        (b"\x00" * 8, "not a snapshot"),
        (SNAPSHOT[:-1], "not a snapshot"),
        (SNAPSHOT[:100], "not a snapshot"),
        (SNAPSHOT + b"\x00", "not a snapshot"),
        (b"\x00" * (MAX_SNAPSHOT_BYTES + 1), "at most 1048576 are read"),
        (save({"0.text": torch.zeros(16)}), "not a snapshot"),
        (save({}, metadata={"context": "[" * 100_000}), "not a snapshot"),
        (save({}, metadata={"context": "{}"}), "not a snapshot"),
        (changed(lambda facts: facts.update(version=1)), "a snapshot of version 1; this one reads 2"),
        (changed(lambda facts: facts.update(fingerprint="other")), "a snapshot of bundle 'other', not of 'unsaved'"),
        (changed(lambda facts: facts.update(turns=3)), "do not fit together"),
        (changed(lambda facts: facts.update(turns=0)), "another length"),
        (changed(lambda facts: facts.update(turns=-5)), "another length"),
        (changed(lambda facts: facts.update(turns=10**30)), "another length"),
        (changed(lambda facts: facts.update(turns=float("inf"))), "not a snapshot"),
        (changed(lambda facts: facts.update(turns=None)), "not a snapshot"),
        (changed(lambda facts: facts.update(published=["joy", "bliss", "joy", "joy"])), "other labels"),
        (changed(lambda facts: facts["published"].pop()), "do not fit together"),
        (changed(lambda facts: facts["speakers"].append("Ana")), "do not fit together"),
        (changed(lambda facts: facts.pop("words")), "not a snapshot"),
        (changed(lambda facts: facts.update(words=7)), "not a snapshot"),
        (changed(tensors=lambda tensors: first(tensors, torch.zeros(9))), "embeddings of another shape"),
        (changed(tensors=lambda tensors: first(tensors, torch.zeros(1, 16))), "embeddings of another shape"),
        (changed(tensors=lambda tensors: first(tensors, torch.zeros(16).half())), "embeddings of another shape"),
        (changed(tensors=lambda tensors: first(tensors, torch.full((16,), torch.nan))), "not finite"),
        (changed(tensors=lambda tensors: first(tensors, torch.full((16,), torch.inf))), "not finite"),
        (changed(tensors=lambda tensors: first(tensors, torch.full((16,), 3e38))), "too large"),
        (changed(tensors=lambda tensors: tensors.clear()), "nothing was heard"),
    ],
)
def test_what_does_not_fit_is_refused(stored: bytes, message: str) -> None:
    with pytest.raises(SnapshotError, match=message) as caught:
        SCORER.restore_context(stored)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


def test_another_bundle_or_other_widths_are_refused() -> None:
    other = tiny_network()
    other.fingerprint = "0123456789ab"
    with pytest.raises(SnapshotError, match="a snapshot of bundle 'unsaved', not of '0123456789ab'"):
        ConversationScorer(other).restore_context(SNAPSHOT)


@given(st.binary(max_size=400))
@example(b"\x02" + b"\x00" * 7 + b"{}")
@example((1 << 63).to_bytes(8, "little"))
def test_random_bytes_are_refused(stored: bytes) -> None:
    with pytest.raises(SnapshotError):
        SCORER.restore_context(stored)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(place=st.integers(0, len(SNAPSHOT) - 1), value=st.integers(0, 255))
def test_a_byte_that_changed_is_refused_or_can_be_gone_on_from(place: int, value: int) -> None:
    stored = bytearray(SNAPSHOT)
    stored[place] = value
    try:
        context = SCORER.restore_context(bytes(stored))
    except SnapshotError:
        return
    assert SCORER.estimate(context, turn(9)).labels == NETWORK.labels
