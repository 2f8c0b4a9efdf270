"""Voice prints are clustered into speakers whose names stay: made prints, directions around that of each person."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emotrack.tracker.speakers.clusters import (
    MOST_SPEAKERS,
    NEW_SHARE,
    NEW_SPEAKER_AT_MOST_S,
    NEW_SPEAKER_S,
    REMEMBERED,
    Identified,
    Speakers,
)
from emotrack.tracker.speakers.networks import VoicePrint, of_length_one
from emotrack.tracker.speakers.pieces import TurnPrint

NUMBERS = 64  # of a print
ALIKE = 0.6  # mean similarity of two prints of one person

ANA, BEN, CLEO = 0, 1, 2


class People:
    """People whose voices are as far apart as can be, ``between`` two of whom there is a mean similarity of 0."""

    def __init__(self, count: int, seed: int = 0, alike: float = ALIKE) -> None:
        self._random = np.random.default_rng(seed)
        directions, _ = np.linalg.qr(self._random.normal(size=(NUMBERS, count)))
        self.voices: NDArray[np.float32] = directions.T.astype(np.float32)  # (count, NUMBERS)
        self._alike = alike

    def says(self, person: int) -> VoicePrint:
        """A print of a turn of theirs."""
        noise = of_length_one(self._random.normal(size=NUMBERS).astype(np.float32))
        return of_length_one(np.sqrt(self._alike) * self.voices[person] + np.sqrt(1.0 - self._alike) * noise)


def between(people: People, one: int, other: int, share: float) -> VoicePrint:
    """A print that has ``share`` of one's voice and the rest of the other's."""
    return of_length_one(share * people.voices[one] + (1.0 - share) * people.voices[other])


def of_a_turn(print_: VoicePrint | TurnPrint | None) -> TurnPrint | None:
    """A turn of one piece, unless it is one already."""
    return TurnPrint(print_) if isinstance(print_, np.ndarray) else print_


class Heard:
    """A conversation as it is known now."""

    def __init__(self, speakers: Speakers) -> None:
        self.speakers = speakers
        self.names: list[str | None] = []
        self.merged: dict[str, str] = {}

    def hear(
        self,
        print_: VoicePrint | TurnPrint | None,
        clean_s: float = 2.0,
        *,
        like: int | None = None,
        apart: Sequence[int] = (),
    ) -> Identified:
        found = self.speakers.hear(len(self.names), of_a_turn(print_), clean_s, like=like, apart=apart)
        self.names.append(found.speaker)
        self.take(found)
        self.merged |= found.merged
        return found

    def learn(self, name: str, print_: VoicePrint | TurnPrint | None, clean_s: float = 2.0) -> Identified:
        found = self.speakers.learn(len(self.names), name, of_a_turn(print_), clean_s)
        self.names.append(found.speaker)
        self.take(found)
        return found

    def take(self, found: Identified) -> None:
        for turn, name in found.revised.items():
            assert self.names[turn] != name, "a revision says something new"
            self.names[turn] = name


@pytest.fixture
def heard() -> Heard:
    return Heard(Speakers())


def test_the_first_turn_opens_speaker_1_however_short(heard: Heard) -> None:
    people = People(2)
    assert heard.hear(people.says(ANA), 0.6).speaker == "speaker 1"
    assert heard.speakers.names == ["speaker 1"]


def test_speakers_are_numbered_as_they_appear(heard: Heard) -> None:
    people = People(3)
    for person in (BEN, BEN, ANA, BEN, CLEO, ANA):
        heard.hear(people.says(person))
    assert heard.names == [f"speaker {number}" for number in (1, 1, 2, 1, 3, 2)]
    assert heard.speakers.names == ["speaker 1", "speaker 2", "speaker 3"]


def test_little_speech_opens_nobody_new_and_more_of_it_does(heard: Heard) -> None:
    people = People(2)
    heard.hear(people.says(ANA), 3.0)
    assert heard.hear(people.says(BEN), 1.2).speaker == "speaker 1"
    assert heard.hear(people.says(BEN), 1.2).revised == {1: "speaker 2"}, "2.4 s in all"
    assert heard.names == ["speaker 1", "speaker 2", "speaker 2"]


def half_each(people: People, one: int, other: int) -> TurnPrint:
    """The print of a turn whose first half one person says, and whose second half another does."""
    first, second = people.says(one), people.says(other)
    return TurnPrint((first + second) / np.float32(2.0), float(first @ second))


def test_turns_that_hold_two_people_do_not_make_them_one(heard: Heard) -> None:
    """Segmentation takes two voices that are somewhat alike for one; each half of such a turn is another's."""
    people = People(2, alike=0.7)
    for _ in range(4):
        heard.hear(people.says(ANA), 3.0)
        heard.hear(half_each(people, ANA, BEN), 6.0)
        heard.hear(people.says(BEN), 3.0)
        heard.hear(half_each(people, BEN, ANA), 6.0)
    assert heard.names[::2] == ["speaker 1", "speaker 2"] * 4
    assert set(heard.names[1::2]) <= {"speaker 1", "speaker 2"}, "they open nobody new"


def test_the_first_turn_opens_speaker_1_even_where_it_holds_two_people(heard: Heard) -> None:
    people = People(2)
    assert heard.hear(half_each(people, ANA, BEN), 6.0).speaker == "speaker 1"


def test_a_named_turn_that_holds_two_people_teaches_no_voice(heard: Heard) -> None:
    people = People(2)
    heard.learn("Ana", people.says(ANA), 3.0)
    heard.learn("Ben", half_each(people, ANA, BEN), 6.0)
    assert heard.speakers.names == ["Ana"]


def test_however_much_of_what_is_too_short_to_be_reliable_opens_nobody(heard: Heard) -> None:
    people = People(2)
    heard.hear(people.says(ANA), 3.0)
    for _ in range(20):
        heard.hear(people.says(BEN), 0.4)
    assert set(heard.names) == {"speaker 1"}


@settings(max_examples=30)
@given(st.integers(1, 40), st.lists(st.floats(0.5, 4.0), min_size=1, max_size=8), st.integers(0, 3))
def test_somebody_new_must_say_more_the_more_is_known_but_not_much(turns: int, says_s: list[float], seed: int) -> None:
    """An odd voice among a hundred turns of one person is that person's who laughs; 4 s of it are another's."""
    people, heard = People(2, seed, alike=0.8), Heard(Speakers())
    for _ in range(turns):
        heard.hear(people.says(ANA), 4.0)
    said_s = 0.0
    for clean_s in says_s:
        said_s += clean_s
        is_new = heard.hear(people.says(BEN), clean_s).speaker != "speaker 1"
        known_s = 4.0 * turns + (0.0 if is_new else said_s)  # what is not somebody new's is counted as Ana's
        if said_s < min(max(NEW_SPEAKER_S, NEW_SHARE * 4.0 * turns), NEW_SPEAKER_AT_MOST_S):
            assert not is_new
        if said_s > min(max(NEW_SPEAKER_S, NEW_SHARE * known_s), NEW_SPEAKER_AT_MOST_S):
            assert is_new
    assert len(set(heard.names[turns:])) == 1, "what was said before is the same person's"


def test_who_is_a_speaker_stays_one_however_much_the_others_say(heard: Heard) -> None:
    people = People(2)
    heard.hear(people.says(ANA), 2.0)
    heard.hear(people.says(BEN), 2.0)
    for _ in range(REMEMBERED + 20):
        heard.hear(people.says(ANA), 4.0)
    assert heard.hear(people.says(BEN), 0.6).speaker == "speaker 2"
    assert heard.names[1] == "speaker 2"


def with_likeness(people: People, alike: float) -> VoicePrint:
    """A print as like Ana's voice as that."""
    return of_length_one(alike * people.voices[ANA] + np.sqrt(1.0 - alike**2) * people.voices[CLEO])


@pytest.mark.parametrize("short_one_s", [0.9, 2.0])
@pytest.mark.parametrize("short_one_comes_first", [True, False])
def test_two_who_overlap_are_two_though_they_sound_alike(
    heard: Heard, short_one_s: float, short_one_comes_first: bool
) -> None:
    """Whichever of the two ends first; without the overlap they would be one."""
    people = People(3, alike=1.0)
    like_ana = with_likeness(people, 0.3)
    lengths = (short_one_s, 3.0) if short_one_comes_first else (3.0, short_one_s)
    heard.hear(people.says(ANA), lengths[0])
    heard.hear(like_ana, lengths[1], apart=(0,))
    heard.hear(people.says(ANA))
    assert heard.names[0] != heard.names[1]
    one = Heard(Speakers())
    one.hear(people.says(ANA), lengths[0])
    one.hear(like_ana, lengths[1])
    assert one.names[0] == one.names[1]


def test_one_person_who_is_heard_as_two_at_once_stays_one(heard: Heard) -> None:
    """Segmentation is wrong now and then, and a voice that is clearly one person's is not."""
    people = People(3, alike=0.9)
    for person in (ANA, BEN, ANA, BEN):
        heard.hear(people.says(person))
    heard.hear(people.says(ANA), 3.0)
    assert not heard.hear(people.says(ANA), 2.0, apart=(4,)).revised
    assert heard.names == ["speaker 1", "speaker 2", "speaker 1", "speaker 2", "speaker 1", "speaker 1"]


def test_somebody_new_may_be_heard_in_overlap_alone(heard: Heard) -> None:
    people = People(2)
    for place in range(0, 8, 2):
        assert not heard.hear(people.says(ANA), 4.0).revised
        assert not heard.hear(people.says(BEN), 2.0, apart=(place,)).revised
    assert heard.names == ["speaker 1", "speaker 2"] * 4


def test_who_overlaps_the_only_speaker_is_nobody_yet(heard: Heard) -> None:
    people = People(1)
    heard.hear(people.says(ANA), 0.4)
    heard.hear(people.says(ANA), 3.0, apart=(0,))
    assert heard.names == [None, "speaker 1"]
    assert heard.hear(people.says(ANA), 0.4, apart=(1,)).speaker is None


def test_a_merge_is_told_and_its_turns_are_revised(heard: Heard) -> None:
    people = People(2)
    ana_low, ana_high = people.voices  # two moods, which the third turn has in common
    heard.hear(ana_low, 4.0)
    assert heard.hear(ana_high, 2.0).speaker == "speaker 2"
    found = heard.hear(of_length_one(ana_low + ana_high), 4.0)
    found = found if found.merged else heard.hear(of_length_one(ana_low + ana_high), 4.0)
    assert found.merged == {"speaker 2": "speaker 1"}
    assert found.revised == {1: "speaker 1"}
    assert heard.speakers.names == ["speaker 1"]


def test_of_two_who_are_one_the_name_of_who_spoke_first_stays(heard: Heard) -> None:
    people = People(2)
    low, high = people.voices
    heard.hear(low, 2.0)
    for _ in range(2):
        heard.hear(high, 4.0)
    assert heard.names == ["speaker 1", "speaker 2", "speaker 2"]
    for _ in range(3):
        heard.hear(of_length_one(low + high), 4.0)
    assert heard.merged == {"speaker 2": "speaker 1"}
    assert set(heard.names) == {"speaker 1"}


@pytest.mark.parametrize(("turns", "merged"), [(1, {}), (3, {"speaker 2": "speaker 1"})])
def test_a_turn_that_is_like_two_speakers_makes_them_one_only_once_more_was_heard(
    turns: int, merged: dict[str, str]
) -> None:
    """Of two seconds each nobody knows how a person else sounds; and the next turns would tell them apart again."""
    people, heard = People(2), Heard(Speakers())
    low, high = between(people, ANA, BEN, 0.95), between(people, ANA, BEN, 0.05)
    for print_ in (low, high):
        for _ in range(turns):
            heard.hear(print_, 2.0)
    assert heard.speakers.names == ["speaker 1", "speaker 2"]
    heard.hear(between(people, ANA, BEN, 0.5), 2.0 * turns)
    assert heard.merged == merged


@pytest.mark.parametrize("count", [1, 2, 3])
def test_there_are_no_more_speakers_than_were_said(count: int) -> None:
    people, heard = People(5), Heard(Speakers(count))
    for place in range(60):
        heard.hear(people.says(place % 5))
        assert len(heard.speakers.names) <= count
    assert len(set(heard.names)) == count


def test_enrolled_people_who_are_absent_take_nobodys_place() -> None:
    people, heard = People(5), Heard(Speakers(2))
    for person in range(2, 5):
        heard.speakers.enroll(f"absent {person}", people.voices[person])
    for place in range(20):
        heard.hear(people.says(place % 2))
    assert heard.names[2:] == ["speaker 1", "speaker 2"] * 9


def test_a_turn_without_a_print_has_the_speaker_of_the_turn_that_it_is_like(heard: Heard) -> None:
    people = People(2)
    heard.hear(people.says(ANA))
    heard.hear(people.says(BEN))
    assert heard.hear(None, 0.2, like=0).speaker == "speaker 1"
    assert heard.hear(None, 0.2, like=2).speaker == "speaker 1", "and so on"
    assert heard.hear(None, 0.2).speaker == "speaker 1", "of the turn before, if none is known to be alike"
    assert heard.hear(None, 0.2, apart=(0, 2, 3, 4)).speaker == "speaker 2", "unless that one overlaps"
    heard.take(heard.speakers.rename("speaker 1", "Ana"))
    assert heard.names == ["Ana", "speaker 2", "Ana", "Ana", "Ana", "speaker 2"]


def test_before_anybody_is_known_a_turn_without_a_print_is_nobodys(heard: Heard) -> None:
    assert heard.hear(None, 0.1).speaker is None
    assert heard.hear(People(1).says(ANA), 0.4).speaker is None
    assert heard.speakers.names == []


def test_a_turn_keeps_its_speaker_when_the_one_that_it_is_like_is_forgotten(heard: Heard) -> None:
    people = People(2)
    heard.hear(people.says(BEN))
    heard.hear(people.says(ANA))
    heard.hear(None, 0.2, like=1)
    for _ in range(REMEMBERED - 1):
        heard.hear(people.says(BEN))
    assert heard.speakers.speaker(1) is None, "forgotten"
    assert heard.speakers.speaker(2) == heard.names[2] == "speaker 2"
    heard.take(heard.speakers.rename("speaker 2", "Ana"))
    assert heard.names[2] == "Ana"
    for _ in range(REMEMBERED):
        heard.hear(None, 0.2)
    assert heard.names[-1] == "speaker 1"


# -- names -----------------------------------------------------------------------------------------------------------


def test_a_new_name_holds_for_turns_past_and_to_come(heard: Heard) -> None:
    people = People(2)
    for person in (ANA, BEN, ANA):
        heard.hear(people.says(person))
    found = heard.speakers.rename("speaker 1", "Ana")
    assert found.revised == {0: "Ana", 2: "Ana"}
    heard.take(found)
    for person in (BEN, ANA):
        heard.hear(people.says(person))
    assert heard.names == ["Ana", "speaker 2", "Ana", "speaker 2", "Ana"]
    assert heard.speakers.names == ["Ana", "speaker 2"]


def test_a_name_that_a_person_has_replaced_is_nobody_elses(heard: Heard) -> None:
    people = People(2)
    heard.hear(people.says(ANA))
    heard.take(heard.speakers.rename("speaker 1", "Ana"))
    heard.hear(people.says(BEN))
    assert heard.names == ["Ana", "speaker 2"]


def test_a_name_that_nobody_has_cannot_be_changed(heard: Heard) -> None:
    with pytest.raises(ValueError, match="there is no speaker Eve: there are none yet"):
        heard.speakers.rename("Eve", "Ana")
    heard.hear(People(1).says(ANA))
    with pytest.raises(ValueError, match="there is no speaker Eve: there are speaker 1"):
        heard.speakers.rename("Eve", "Ana")


def test_the_name_of_another_makes_two_one_for_turns_past_and_to_come(heard: Heard) -> None:
    """Even if the two go on sounding like two; and everything that was heard still counts once."""
    people = People(3)
    for person in (ANA, BEN, CLEO, ANA, BEN):
        heard.hear(people.says(person))
    heard.take(heard.speakers.rename("speaker 1", "Ana"))
    found = heard.speakers.rename("speaker 3", "Ana")
    assert found.revised == {2: "Ana"}
    heard.take(found)
    assert heard.names == ["Ana", "speaker 2", "Ana", "Ana", "speaker 2"]
    for place in range(3 * REMEMBERED):
        heard.hear(people.says(place % 3))
        expected = "speaker 2" if place % 3 == BEN else "Ana"
        assert heard.names[-1] == expected, place
    assert heard.speakers.names == ["Ana", "speaker 2"]
    assert heard.merged == {}
    kept = sum(group.weight for group in heard.speakers._groups())
    assert kept == pytest.approx(2.0 * len(heard.names), rel=1e-3)


def test_two_of_one_name_count_as_one_of_those_there_may_be() -> None:
    people, heard = People(3), Heard(Speakers(2))
    for person in (ANA, BEN, ANA, BEN):
        heard.hear(people.says(person))
    heard.take(heard.speakers.rename("speaker 2", "speaker 1"))
    for person in (CLEO, CLEO, BEN, ANA):
        heard.hear(people.says(person))
    assert heard.names == ["speaker 1"] * 4 + ["speaker 3"] * 2 + ["speaker 1"] * 2


def test_whom_people_have_named_keeps_the_name_and_never_becomes_another_of_them(heard: Heard) -> None:
    people = People(2)
    for person in (ANA, BEN):
        heard.hear(people.voices[person], 4.0)
    for name, called in (("speaker 1", "Ana"), ("speaker 2", "Ben")):
        heard.take(heard.speakers.rename(name, called))
    for _ in range(2 * REMEMBERED):  # as if their voices met in the middle
        heard.hear(between(people, ANA, BEN, 0.5), 4.0)
        assert heard.speakers.names == ["Ana", "Ben"]
    assert heard.names[:2] == ["Ana", "Ben"]
    assert heard.merged == {}


def test_the_name_that_a_person_gave_is_the_one_that_stays_in_a_merge(heard: Heard) -> None:
    people = People(2)
    for print_ in (people.voices[0], people.voices[0], people.voices[1]):
        heard.hear(print_, 4.0)
    heard.take(heard.speakers.rename("speaker 2", "Ana"))
    for _ in range(6):
        heard.hear(of_length_one(people.voices[0] + people.voices[1]), 4.0)
    assert heard.merged == {"speaker 1": "Ana"}
    assert set(heard.names) == {"Ana"}


def test_who_is_known_otherwise_is_known_by_voice_from_then_on(heard: Heard) -> None:
    people = People(2)
    heard.hear(people.says(ANA))
    heard.hear(people.says(BEN))
    found = heard.learn("Ana", people.says(ANA))
    assert (found.speaker, found.merged) == ("Ana", {"speaker 1": "Ana"})
    heard.hear(people.says(ANA))
    heard.hear(people.says(BEN))
    heard.hear(None, like=2)
    assert heard.names == ["Ana", "speaker 2", "Ana", "Ana", "speaker 2", "Ana"]
    heard.take(heard.speakers.rename("Ana", "Anna"))
    assert heard.names == ["Anna", "speaker 2", "Anna", "Anna", "speaker 2", "Anna"]


def test_who_is_known_otherwise_stays_so_whatever_the_voice(heard: Heard) -> None:
    people = People(2)
    for _ in range(3):
        heard.learn("Ana", people.says(ANA))
        heard.learn("Ben", people.says(ANA))  # by mistake, or they sound alike
    heard.learn("Ana", people.says(BEN))
    assert heard.names == ["Ana", "Ben"] * 3 + ["Ana"]
    assert heard.speakers.names == ["Ana", "Ben"]


@pytest.mark.parametrize("clean_s", [0.0, 0.49])
def test_too_little_of_a_known_voice_teaches_nothing(heard: Heard, clean_s: float) -> None:
    people = People(2)
    found = heard.learn("Ana", people.says(ANA) if clean_s else None, clean_s)
    assert (found.speaker, heard.speakers.names) == ("Ana", [])
    heard.hear(people.says(ANA))
    assert heard.names == ["Ana", "speaker 1"]


def test_names_without_end_are_learned_up_to_a_bound(heard: Heard) -> None:
    people = People(NUMBERS)
    for person in range(NUMBERS):
        heard.learn(f"name {person}", people.says(person))
    assert heard.names == [f"name {person}" for person in range(NUMBERS)]
    assert len(heard.speakers.names) == MOST_SPEAKERS


def test_an_enrolled_voice_is_known_from_its_first_turn(heard: Heard) -> None:
    people = People(3)
    heard.speakers.enroll("Ana", people.says(ANA))
    heard.speakers.enroll("Ben", people.says(BEN))
    for person, name in ((BEN, "Ben"), (ANA, "Ana"), (CLEO, "speaker 1"), (BEN, "Ben")):
        assert heard.hear(people.says(person), 2.1).speaker == name


def test_two_enrolled_voices_are_never_one(heard: Heard) -> None:
    people = People(1, alike=0.95)
    heard.speakers.enroll("Ana", people.says(ANA))
    heard.speakers.enroll("her sister", people.says(ANA))
    for _ in range(2 * REMEMBERED):
        assert heard.hear(people.says(ANA), 4.0).merged == {}
    assert heard.speakers.names == ["Ana", "her sister"]


# -- long conversations ------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_after_five_thousand_turns_memory_is_bounded_and_the_first_ones_are_known() -> None:
    people, heard, random = People(12), Heard(Speakers()), np.random.default_rng(1)
    for _ in range(100):
        heard.hear(people.says(int(random.integers(6))), random.uniform(0.3, 5.0))
    early = {person: heard.hear(people.says(person), 3.0).speaker for person in range(6)}
    assert len(set(early.values())) == 6
    largest = 0
    for turn in range(5000):
        sound = turn % 50
        if sound == 0:
            heard.hear(of_length_one(random.normal(size=NUMBERS).astype(np.float32)), random.uniform(0.3, 1.0))
        elif sound == 1:
            heard.hear(None, 0.2)
        else:
            heard.hear(people.says(int(random.integers(6, 12))), random.uniform(0.3, 5.0))
        largest = max(largest, len(heard.speakers._groups()))
        assert len(heard.speakers._turns) <= REMEMBERED
    assert largest <= REMEMBERED + MOST_SPEAKERS
    assert len(heard.speakers._names) <= MOST_SPEAKERS
    assert {person: heard.hear(people.says(person), 3.0).speaker for person in range(6)} == early


def test_more_people_than_can_be_remembered_do_no_harm() -> None:
    people, heard = People(MOST_SPEAKERS + 8), Heard(Speakers())
    for place in range(6 * (MOST_SPEAKERS + 8)):
        heard.hear(people.says(place % (MOST_SPEAKERS + 8)))
    assert len(heard.speakers.names) == MOST_SPEAKERS


def test_a_turn_costs_little_with_all_that_can_be_remembered() -> None:
    people, speakers = People(8), Speakers()
    taken = []
    for turn in range(REMEMBERED + 40):
        print_ = people.says(turn % 8)
        began = time.process_time()
        speakers.hear(turn, TurnPrint(print_), 2.0, like=None, apart=())
        taken.append(time.process_time() - began)
    assert min(taken[REMEMBERED:]) < 0.02, "seconds of the processor; about .004"


# -- properties --------------------------------------------------------------------------------------------------------

conversations = st.lists(
    st.tuples(
        st.integers(0, 4),  # who
        st.sampled_from([0.1, 0.4, 0.6, 1.0, 2.0, 6.0]),  # seconds of clean speech
        st.booleans(),  # whether it overlaps the turn before
        st.sampled_from([None, None, None, "new name", "another's name"]),  # how a person then calls its speaker
    ),
    max_size=40,
)


def spoken(conversation: Sequence[tuple[int, float, bool, str | None]], speakers: Speakers, seed: int) -> Heard:
    people, heard = People(5, seed, alike=0.4), Heard(speakers)
    named: dict[int, str | None] = defaultdict(lambda: None)
    for turn, (person, clean_s, overlaps, naming) in enumerate(conversation):
        before = set(speakers.names)
        found = heard.hear(
            people.says(person) if clean_s > 0.3 else None, clean_s, apart=(turn - 1,) if overlaps and turn else ()
        )
        assert set(found.merged) <= before
        assert not set(found.merged) & set(speakers.names), "who was merged is no more"
        assert set(found.merged.values()) <= set(speakers.names)
        if naming and found.speaker:
            name = speakers.names[0] if naming == "another's name" else f"person {turn}"
            heard.take(speakers.rename(found.speaker, name))
        for known, told in enumerate(heard.names):
            assert told is not None or named[known] is None, "somebody's turn is never nobody's again"
            named[known] = told
            assert speakers.speaker(known) == heard.names[known], "revisions tell everything"
    return heard


@settings(max_examples=60)
@example([(0, 0.6, False, None), (1, 2.0, False, None)], 0, 1)  # the first word counts as a speaker's
@example([(0, 0.6, False, "another's name"), (1, 1.0, False, None)], 0, 1)  # whoever was named is the one speaker
@example(  # of two speakers whom a person has given one name, one turns out to be a third
    [
        *[(0, 0.4, False, None), (1, 2.0, False, None), (1, 0.6, True, None), (0, 0.4, False, None)],
        *[(3, 0.6, False, None), (1, 1.0, True, None), (0, 0.4, False, None), (0, 2.0, False, None)],
        *[(1, 0.6, False, None), (0, 0.4, False, None), (0, 0.4, False, None), (0, 0.4, False, None)],
        *[(0, 0.6, False, None), (0, 0.4, False, None), (0, 0.4, False, None), (0, 0.6, False, None)],
        *[(2, 2.0, False, None), (0, 2.0, True, None), (0, 0.4, False, None), (0, 0.4, False, None)],
        *[(0, 1.0, False, None), (0, 0.4, False, None), (0, 0.6, False, None)],
        *[(0, 0.4, True, "another's name"), (1, 0.6, False, None)],
    ],
    3,
    1,
)
@given(conversations, st.integers(0, 3), st.sampled_from([None, 1, 2]))
def test_revisions_tell_everything_and_everybody_has_a_name(
    conversation: list[tuple[int, float, bool, str | None]], seed: int, count: int | None
) -> None:
    heard = spoken(conversation, Speakers(count), seed)
    names = heard.speakers.names
    assert len(set(names)) == len(names)
    assert {name for name in heard.names if name} <= set(names)
    given_ = sum(naming == "new name" for *_, naming in conversation)
    assert len(names) <= len(conversation)
    if count and not any(overlaps for *_, overlaps, _ in conversation):
        assert len(names) <= max(count, 1) + given_


@settings(max_examples=20)
@given(conversations, st.integers(0, 3))
def test_the_same_conversation_has_the_same_speakers(
    conversation: list[tuple[int, float, bool, str | None]], seed: int
) -> None:
    assert spoken(conversation, Speakers(), seed).names == spoken(conversation, Speakers(), seed).names


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=150), st.integers(0, 5))
def test_people_who_sound_different_are_told_apart(order: list[int], seed: int) -> None:
    people, heard = People(4, seed), Heard(Speakers())
    for person in order:
        heard.hear(people.says(person), 2.0)
    pairs = Counter(zip(order, heard.names, strict=True))
    assert len(pairs) == len(set(order)), "each has one name, and each name is one's"
