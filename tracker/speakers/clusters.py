"""Who a turn's voice belongs to: voice prints, clustered anew with every turn, and names that stay.

Average-linkage clustering of the latest prints, weighed by their length. What is older than these is kept as one sum a
speaker, so that memory and time are bounded and nobody is forgotten. The linkage needs no more than sums: the mean
similarity of two groups of unit vectors is the product of their sums over that of their weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.speakers.networks import VoicePrint, of_length_one

# Chosen on meetings, a talk and a telephone call, and on put-together talk of actors whose voices change with every
# emotion: the mean similarity of two prints is about .6 (actors: .45) within a person, .2 (.15) between persons.
ALIKE: Final = 0.3  # mean similarity from which on two groups are one person
RELIABLE_S: Final = 0.5  # of clean speech from which on a print takes part in clustering
NEW_SPEAKER_S: Final = 1.2  # of clean speech, in all, that a new speaker takes
_HEAVIEST_S: Final = 4.0  # a longer turn weighs no more
REMEMBERED: Final = 96  # turns that can still get another speaker
MOST_SPEAKERS: Final = 32  # beyond that, the most alike become one
ENROLLED_S: Final = 12.0  # weight of a voice print that a person had kept


@dataclass(frozen=True, slots=True)
class Identified:
    """What a turn told about speakers."""

    speaker: str | None
    """Of the turn itself."""
    revised: Mapping[int, str | None]
    """Speakers of earlier turns that are others now, by turn."""
    merged: Mapping[str, str]
    """Speakers that turned out to be the one who is named second."""


@dataclass(eq=False, slots=True)
class _Group:
    """Prints that belong together: a turn's, or all that is left of a speaker's older turns."""

    sum: NDArray[np.float32]
    """Of the prints, each times its weight."""
    weight: float
    speaker: int | None = None
    apart: set[int] = field(default_factory=set)
    """Speakers whom it is certainly not: they spoke at the same time, or are others by name."""
    heard: bool = True
    """Whether anything of it was heard here, or all of it is a voice that was known before."""


@dataclass(eq=False, slots=True)
class _KnownTurn:
    turn: int
    group: _Group | None
    """None without a print; the speaker is then that of ``like``."""
    like: _KnownTurn | None = None
    apart: tuple[int, ...] = ()

    @property
    def speaker(self) -> int | None:
        if self.group is not None:
            return self.group.speaker
        return self.like.speaker if self.like is not None else None


class Speakers:
    """The speakers of one conversation."""

    def __init__(self, count: int | None = None) -> None:
        """With a ``count``, there are no more of them."""
        self._count = count or MOST_SPEAKERS
        self._is_counted = count is not None
        self._turns: list[_KnownTurn] = []  # the latest, oldest first
        self._older: dict[int, _Group] = {}  # by speaker: enrolled, and turns that are not remembered singly
        self._names: dict[int, str] = {}
        self._by_person: set[int] = set()  # whose names were given, not counted
        self._counted = 0

    @property
    def names(self) -> list[str]:
        """Everybody's, by first appearance."""
        return [self._names[speaker] for speaker in sorted(self._names)]

    def enroll(self, name: str, print_: VoicePrint) -> None:
        """Know a voice from the beginning, by the mean of its prints, each of length 1.

        The mean itself, not its direction: the similarity to it is then that to the prints, as everywhere here.
        """
        speaker = self._new(name)
        self._older[speaker] = _Group(print_ * np.float32(ENROLLED_S), ENROLLED_S, speaker, heard=False)

    def hear(
        self, turn: int, print_: VoicePrint | None, clean_s: float, *, like: int | None, apart: Collection[int]
    ) -> Identified:
        """Take the next turn.

        Args:
            turn: its number.
            print_: of its voice, if there was enough of it.
            clean_s: seconds of it that nobody else spoke in.
            like: an earlier turn of the same voice, by segmentation: its speaker is taken where there is no print.
            apart: turns of others that overlap this one.
        """
        before = {each.turn: each.speaker for each in self._turns}
        group = None
        if print_ is not None:
            weight = min(clean_s, _HEAVIEST_S) if clean_s >= RELIABLE_S else 0.0
            group = _Group(print_ * np.float32(max(weight, 1e-3)), weight)
        known = {each.turn: each for each in self._turns}
        likeness = known.get(like) if like is not None else None
        if group is None and likeness is None:
            likeness = next((each for each in reversed(self._turns) if each.turn not in apart), None)
        heard = _KnownTurn(turn, group, likeness, tuple(apart))
        self._turns.append(heard)
        merged = self._cluster()
        self._forget()
        revised = {
            each.turn: self._name(each.speaker)
            for each in self._turns
            if each.turn in before and each.speaker != before[each.turn]
        }
        return Identified(self._name(heard.speaker), revised, merged)

    def rename(self, speaker: str, name: str) -> Identified:
        """Call a speaker by another name, for turns past and to come; if it is somebody's name, the two are one.

        Raises:
            ValueError: there is no such speaker.
        """
        number = self._number(speaker)
        if number is None:
            raise ValueError(f"there is no speaker {speaker}: there are {', '.join(self.names) or 'none yet'}")
        before = {each.turn: self._name(each.speaker) for each in self._turns}
        other = self._number(name)
        if other is not None and other != number:
            self._join(number, other)
        else:
            self._names[number] = name
            self._by_person.add(number)
        revised = {
            each.turn: self._name(each.speaker) for each in self._turns if self._name(each.speaker) != before[each.turn]
        }
        return Identified(name, revised, {})

    def speaker(self, turn: int) -> str | None:
        """Of a turn that is remembered."""
        return next((self._name(each.speaker) for each in self._turns if each.turn == turn), None)

    def print_of(self, speaker: str) -> VoicePrint | None:
        """What all that was heard of a speaker amounts to, of length 1; None where that is too little."""
        number = self._number(speaker)
        groups = [group for group in self._groups() if group.speaker == number and number is not None]
        weight = sum(group.weight for group in groups)
        if weight < NEW_SPEAKER_S:
            return None
        total: VoicePrint = np.sum([group.sum for group in groups], axis=0)
        return of_length_one(total)

    # -- clustering ----------------------------------------------------------------------------------------------

    def _groups(self) -> list[_Group]:
        return [*self._older.values(), *(each.group for each in self._turns if each.group is not None)]

    def _cluster(self) -> dict[str, str]:
        """Give every remembered turn its speaker anew; return who turned out to be somebody else."""
        counted = [group for group in self._groups() if group.weight > 0.0]
        clusters = self._linked(counted)
        merged = self._assign(clusters)
        self._place_light_turns()
        return merged

    def _linked(self, groups: list[_Group]) -> list[list[_Group]]:
        """Average linkage, down to ALIKE, or to as many speakers as there may be."""
        if not groups:
            return []
        sums = np.stack([group.sum for group in groups])  # (groups, numbers)
        weights = np.array([group.weight for group in groups], dtype=np.float32)
        alike = sums @ sums.T / np.outer(weights, weights)  # (groups, groups)
        apart = self._apart(groups)
        silent = np.array([not group.heard for group in groups])
        alike[apart] = -2.0
        alike[
            (silent[:, None] | silent) & (alike < ALIKE)
        ] = -2.0  # who may not be here takes nobody in for want of room
        np.fill_diagonal(alike, -3.0)
        members = [[group] for group in groups]
        alive = np.ones(len(groups), dtype=bool)
        while alive.sum() > 1:
            first, second = sorted(divmod(int(alike.argmax()), len(groups)))
            nearest = float(alike[first, second])
            too_many = self._speaking(members, alive) > self._count
            if nearest <= -2.0 or (nearest < ALIKE and not too_many):
                break
            members[first] += members[second]
            sums[first] += sums[second]
            weights[first] += weights[second]
            apart[first] |= apart[second]
            apart[:, first] |= apart[:, second]
            alive[second] = False
            silent[first] &= silent[second]
            similarities = sums @ sums[first] / (weights * weights[first])  # (groups,)
            similarities[apart[first]] = -2.0
            similarities[(silent | silent[first]) & (similarities < ALIKE)] = -2.0
            similarities[~alive] = -3.0
            similarities[first] = -3.0
            alike[first], alike[:, first] = similarities, similarities
            alike[second], alike[:, second] = -3.0, -3.0
        return [members[place] for place in np.flatnonzero(alive)]

    def _speaking(self, members: list[list[_Group]], alive: NDArray[np.bool_]) -> int:
        clusters = [members[place] for place in np.flatnonzero(alive)]
        return sum(_is_somebody(cluster) and any(group.heard for group in cluster) for cluster in clusters)

    def _apart(self, groups: list[_Group]) -> NDArray[np.bool_]:
        """Which groups cannot be one person, (groups, groups)."""
        place = {id(group): index for index, group in enumerate(groups)}
        of_turn = {each.turn: each.group for each in self._turns if each.group is not None}
        apart = np.zeros((len(groups), len(groups)), dtype=bool)
        pairs = [(each.group, of_turn[other]) for each in self._turns for other in each.apart if other in of_turn]
        named = [group for speaker, group in self._older.items() if speaker in self._by_person]
        pairs += [(one, other) for one in named for other in named if one is not other]
        for one, other in pairs:
            if one is not None and id(one) in place and id(other) in place:
                apart[place[id(one)], place[id(other)]] = apart[place[id(other)], place[id(one)]] = True
        return apart

    def _assign(self, clusters: list[list[_Group]]) -> dict[str, str]:
        """Numbers for clusters: each keeps the number of most of what is in it, or is nobody yet."""
        somebody = [place for place, cluster in enumerate(clusters) if _is_somebody(cluster)]
        if not somebody and clusters:  # the first words of a conversation: who says them is its first speaker
            somebody = [max(range(len(clusters)), key=lambda place: sum(group.weight for group in clusters[place]))]
        kept = self._kept_numbers(clusters)
        numbers = {place: kept[place] if place in kept else self._new(None) for place in {*somebody, *kept}}
        merged = {
            self._names[group.speaker]: self._names[number]
            for place, number in numbers.items()
            for group in clusters[place]
            if group.speaker is not None and group.speaker not in numbers.values()
        }
        for place, cluster in enumerate(clusters):
            for group in cluster:
                group.speaker = numbers.get(place)
        self._drop_names()
        return merged

    def _drop_names(self) -> None:
        """Forget who turned out to be somebody else, or nobody."""
        for speaker, older in list(self._older.items()):
            if older.speaker is not None and older.speaker != speaker:
                self._fold(speaker, older.speaker)
        heard = {group.speaker for group in self._groups()}
        for gone in [speaker for speaker in self._names if speaker not in heard]:
            del self._names[gone]
            self._by_person.discard(gone)

    def _kept_numbers(self, clusters: list[list[_Group]]) -> dict[int, int]:
        """Which cluster, by place, keeps which speaker's number: who has most of a speaker, a named one first."""
        shares: dict[tuple[int, int], float] = {}
        for place, cluster in enumerate(clusters):
            for group in cluster:
                if group.speaker is not None:
                    named = 1e6 if group.speaker in self._by_person else 0.0
                    shares[place, group.speaker] = shares.get((place, group.speaker), named) + group.weight
        numbers: dict[int, int] = {}
        for place, speaker in sorted(shares, key=lambda pair: (-shares[pair], pair)):
            if place not in numbers and speaker not in numbers.values():
                numbers[place] = speaker
        return numbers

    def _place_light_turns(self) -> None:
        """Turns too short to be counted, and clusters that are nobody yet, go to the most alike.

        To a known voice that was not heard yet they go only if they are alike.
        """
        centres: dict[int, NDArray[np.float32]] = {}
        least: dict[int, float] = {}  # likeness to a centre's direction
        for group in self._groups():
            if group.speaker is not None and group.weight > 0.0:
                centres[group.speaker] = centres.get(group.speaker, np.float32(0.0)) + group.sum
                alone = ALIKE * group.weight / max(float(np.linalg.norm(group.sum)), 1e-9)
                least[group.speaker] = -2.0 if group.heard else least.get(group.speaker, alone)
        if not centres:
            return
        speakers = sorted(centres)
        directions = np.stack([centres[speaker] / np.linalg.norm(centres[speaker]) for speaker in speakers])
        by_turn = {each.turn: each for each in self._turns}
        for each in self._turns:
            if (light := each.group) is None or (light.weight > 0.0 and light.speaker is not None):
                continue
            others = {by_turn[turn].speaker for turn in each.apart if turn in by_turn}
            alike = directions @ (light.sum / np.linalg.norm(light.sum))  # (speakers,)
            free = [
                place
                for place, speaker in enumerate(speakers)
                if speaker not in others and alike[place] >= least[speaker]
            ]
            if free:
                light.speaker = speakers[max(free, key=lambda place: float(alike[place]))]

    # -- memory and names ----------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Keep of the oldest turn what it adds to its speaker."""
        while len(self._turns) > REMEMBERED:
            oldest = self._turns.pop(0)
            for each in self._turns:
                if each.like is oldest:
                    each.like = oldest.like
            group = oldest.group
            if group is None or group.speaker is None or group.weight == 0.0:
                continue
            kept = self._older.get(group.speaker)
            if kept is None:
                self._older[group.speaker] = group
            else:
                kept.sum = kept.sum + group.sum
                kept.weight += group.weight
                kept.heard = True

    def _fold(self, speaker: int, into: int) -> None:
        group = self._older.pop(speaker)
        kept = self._older.get(into)
        if kept is None:
            self._older[into] = group
        else:
            kept.sum = kept.sum + group.sum
            kept.weight += group.weight
            kept.heard |= group.heard

    def _join(self, speaker: int, into: int) -> None:
        """A person says that two are one."""
        for group in self._groups():
            if group.speaker == speaker:
                group.speaker = into
        if speaker in self._older:
            self._fold(speaker, into)
        for each in self._turns:
            if each.group is not None and each.group.speaker == into and each.group.weight > 0.0:
                self._settle(each)
        del self._names[speaker]
        self._by_person.discard(speaker)
        self._by_person.add(into)

    def _settle(self, turn: _KnownTurn) -> None:
        """What a person has said of a turn is not clustered any more."""
        if turn.group is None or turn.group.speaker is None:
            return
        speaker, group = turn.group.speaker, turn.group
        kept = self._older.setdefault(speaker, _Group(np.zeros_like(group.sum), 0.0, speaker))
        kept.sum = kept.sum + group.sum
        kept.weight += group.weight
        kept.heard = True
        turn.group = kept

    def _new(self, name: str | None) -> int:
        self._counted += 1
        number = self._counted
        if name is None:
            taken = set(self._names.values())
            name = next(each for each in (f"speaker {count}" for count in itertools.count(1)) if each not in taken)
        else:
            self._by_person.add(number)
        self._names[number] = name
        return number

    def _number(self, name: str) -> int | None:
        return next((number for number, known in self._names.items() if known == name), None)

    def _name(self, speaker: int | None) -> str | None:
        return None if speaker is None else self._names.get(speaker)


def _is_somebody(cluster: list[_Group]) -> bool:
    return sum(group.weight for group in cluster) >= NEW_SPEAKER_S
