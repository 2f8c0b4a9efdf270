"""Two runs are compared turn by turn, and measured where the truth is known."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from emotrack.tracker.events import Correction, Turn
from emotrack.tracker.sessions.compare.compare import Stretch, _match, compare, read_truth
from emotrack.tracker.sessions.compare.compare_view import render
from emotrack.tracker.sessions.reading.reader import Session, SessionError
from tests.tracker.dashboard.made_up import HEAD, LABELS, started, turn


def run(*emotions: str, labels: tuple[str, ...] = LABELS, shift_s: float = 0.0, step_s: float = 3.0) -> Session:
    """A turn of two seconds every ``step_s`` seconds."""
    turns = [
        turn(
            number,
            emotion,
            start_s=step_s * number + shift_s,
            end_s=step_s * number + shift_s + 2.0,
            probabilities={label: 0.82 if label == emotion else 0.03 for label in labels},
        )
        for number, emotion in enumerate(emotions, start=1)
    ]
    return Session(Path("s.jsonl"), "s", started=started(labels=labels), turns=turns)


def correct(session: Session, turn_id: int, emotion: str, minutes: int = 0) -> None:
    head = HEAD | {"time": HEAD["time"] + timedelta(minutes=minutes)}
    session.corrections[turn_id] = Correction(**head, turn_id=turn_id, emotion=emotion)


def shown(session_a: Session, session_b: Session) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(render(compare(session_a, session_b)))
    return out.getvalue()


def test_a_run_agrees_with_itself() -> None:
    a = run("joy", "fear", "joy")
    found = compare(a, a)
    assert (found.pairs, found.agreement, found.kappa, found.mean_difference) == (3, 1.0, 1.0, 0.0)
    assert (list(found.only_a), list(found.only_b), list(found.disagreements)) == ([], [], [])
    assert found.confusion["joy"] == dict.fromkeys(LABELS, 0) | {"joy": 2}
    assert (found.truth, found.score_a) == (None, None)


def test_numbers_by_hand() -> None:
    a = run("joy", "joy", "joy", "fear", "fear")
    b = run("joy", "joy", "fear", "fear", "anger")
    found = compare(a, b)
    assert found.agreement == pytest.approx(3 / 5)
    # by chance: joy 3/5 * 2/5, fear 2/5 * 2/5, anger 0
    assert found.kappa == pytest.approx((0.6 - 0.4) / (1 - 0.4))
    assert found.confusion["fear"]["anger"] == 1
    # two of five pairs differ, in two of seven probabilities, by 0.79
    assert found.mean_difference == pytest.approx(2 / 5 * 2 / 7 * 0.79)
    assert [(pair.a.turn_id, pair.b.emotion) for pair in found.disagreements] == [(3, "fear"), (5, "anger")]
    assert found.disagreements[0].difference == pytest.approx(0.79)


def test_turns_are_matched_by_time() -> None:
    a, b = run("joy", "fear", "anger"), run("joy", "fear", shift_s=0.9)
    found = compare(a, b)
    assert (found.pairs, found.only_a, found.only_b) == (2, (3,), ())
    assert compare(a, run("joy", "fear", shift_s=1.1)).pairs == 0  # less than half
    # one long turn where the other run heard two: the longer of the two is its counterpart
    whole = Session(Path("s"), "s", turns=[turn(1, start_s=0.0, end_s=10.0)])
    parts = Session(Path("s"), "s", turns=[turn(1, start_s=0.0, end_s=4.0), turn(2, start_s=4.2, end_s=10.0)])
    found = compare(whole, parts)
    assert (found.pairs, found.only_a, found.only_b) == (1, (), (1,))


def test_of_turns_at_once_those_of_the_same_speaker_are_matched() -> None:
    def at_once(*speakers: str) -> Session:
        turns = [turn(n, start_s=1.0 + n / 10, end_s=3.0, speaker=who) for n, who in enumerate(speakers, start=1)]
        return Session(Path("s"), "s", turns=turns)

    found = _match(
        *(
            [Stretch(t.start_s, t.end_s, t.speaker, "joy") for t in made.turns]
            for made in (at_once("A", "B"), at_once("B", "A"))
        )
    )
    assert found == [(0, 1), (1, 0)]


STRETCHES = st.lists(
    st.tuples(st.floats(0, 60), st.floats(0, 20), st.sampled_from([None, "A", "B"])).map(
        lambda drawn: Stretch(drawn[0], drawn[0] + drawn[1], drawn[2], "joy")
    ),
    max_size=12,
)


@given(a=STRETCHES, b=STRETCHES)
def test_pairs_are_one_to_one_and_none_is_forgotten(a: list[Stretch], b: list[Stretch]) -> None:
    def may_pair(one: Stretch, other: Stretch) -> bool:
        ends = [max(s.end_s, s.start_s + 0.001) for s in (one, other)]  # a turn of no length still matches itself
        shorter = min(end - s.start_s for end, s in zip(ends, (one, other), strict=True))
        return min(ends) - max(one.start_s, other.start_s) >= 0.5 * shorter

    pairs = _match(a, b)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(may_pair(a[i], b[j]) for i, j in pairs)
    left_a = [one for i, one in enumerate(a) if i not in dict(pairs)]
    left_b = [other for j, other in enumerate(b) if j not in {j for _, j in pairs}]
    if len(a) <= 8 and len(b) <= 8:  # beyond that a turn may have more rivals than are looked at
        assert not any(may_pair(one, other) for one in left_a for other in left_b)
    assert [(j, i) for i, j in pairs] == sorted(((j, i) for i, j in pairs), key=lambda pair: pair[1])


def test_without_any_pair_there_is_no_number() -> None:
    found = compare(run(), run("joy"))
    assert (found.pairs, found.agreement, found.kappa, found.mean_difference) == (0, None, None, None)
    assert found.only_b == (1,)
    assert compare(run("joy"), run("joy")).kappa is None  # chance alone agrees always


def test_different_labels_are_compared_on_the_common_ones() -> None:
    a, b = run("joy", "fear", "disgust"), run("joy", "joy", "joy", labels=("joy", "fear", "calm"))
    found = compare(a, b)
    assert found.labels == ("joy", "fear")
    assert (found.only_labels_b, found.uncommon, found.pairs) == (("calm",), 1, 2)
    assert found.agreement == 0.5
    assert found.disagreements[0].difference == pytest.approx((0.82 - 0.03) / 0.85)
    assert "emotions the other does not know" in shown(a, b)
    nothing = compare(a, run("calm", labels=("calm",)))
    assert (nothing.labels, nothing.pairs, nothing.uncommon, nothing.agreement) == ((), 0, 1, None)


def test_a_truth_file_measures_both(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    truth = [(3.1, 5.0, "happy"), (6.0, 8.2, "fear"), (9.0, 11.0, "joy"), (50.0, 52.0, "fear"), (60.0, 61.0, "pride")]
    path.write_text(json.dumps({"audio": "x", "turns": [{"start": s, "end": e, "emotion": x} for s, e, x in truth]}))
    found = compare(run("joy", "fear", "fear"), run("joy", "joy", "joy"), read_truth(path))
    assert (found.truth, found.truth_turns) == ("file", 4)
    assert found.score_a
    assert found.score_b
    assert (found.score_a.missed, found.score_b.missed) == (1, 1)
    # a: joy P 1 R 1/2, fear P 1/2 R 1/2; b: joy P 2/3 R 1, fear never
    assert found.score_a.weighted_f1 == pytest.approx((2 * (2 / 3) + 2 * (1 / 2)) / 4)
    assert found.score_b.weighted_f1 == pytest.approx((2 * (4 / 5) + 0) / 4)


def test_corrections_in_either_session_are_true() -> None:
    a, b = run("joy", "fear", "anger"), run("joy", "joy", "joy")
    correct(a, 1, "joy")
    correct(a, 2, "fear")
    correct(b, 2, "joy", minutes=1)  # the later word
    correct(b, 3, "anger")
    found = compare(a, b)
    assert (found.truth, found.truth_turns) == ("corrections", 3)
    assert found.score_a
    assert found.score_b
    assert found.score_a.weighted_f1 == pytest.approx((2 * (2 / 3) + 1) / 3)
    assert found.score_b.weighted_f1 == pytest.approx(2 * (4 / 5) / 3)
    assert found.agreement == pytest.approx(1 / 3)  # of what was estimated


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "Invalid JSON"),
        ("[]", "JSON"),
        ('{"turns": [{"start": 1, "end": 2}]}', "turns.0.emotion"),
        ('{"turns": [{"start": 2, "end": 1, "emotion": "joy"}]}', "ends before it starts"),
        ('{"turns": [{"start": 1, "end": 1e999, "emotion": "joy"}]}', "turns.0.end"),
    ],
)
def test_a_truth_that_is_none_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(content)
    with pytest.raises(SessionError, match=problem):
        read_truth(path)
    with pytest.raises(SessionError, match="No such file"):
        read_truth(tmp_path / "none.json")


def test_it_is_shown_without_obeying_anything_that_was_said() -> None:
    a, b = run("joy", "fear"), run("joy", "joy")
    a.turns[1] = a.turns[1].model_copy(update={"text": "[bold]loud[/] \x1b[31mred"})
    text = shown(a, b)
    assert "[bold]loud[/] red" in text
    assert "\x1b" not in text
    assert "50.0 %" in text
    assert "Most different turns" in text


def test_as_json_it_has_numbers_but_no_words() -> None:
    a, b = run("joy", "fear"), run("joy", "joy")
    correct(a, 1, "joy")
    document = json.dumps(compare(a, b).to_dict(), allow_nan=False)
    assert "Good to see you" not in document
    assert "Ana" not in document
    assert json.loads(document)["scores"]["a"] == {"weighted_f1": 1.0, "missed": 0}


def test_twenty_thousand_turns_are_compared_in_seconds() -> None:
    turns: list[Turn] = run("joy").turns * 20_000
    turns = [t.model_copy(update={"start_s": 2.0 * n, "end_s": 2.0 * n + 1.5}) for n, t in enumerate(turns)]
    long = Session(Path("s"), "s", started=started(), turns=turns)
    assert compare(long, long).pairs == 20_000
