"""Who a turn's voice belongs to: voice prints, clustered anew with every turn, and names that stay.

The latest prints are linked, weighed by their length. What is older than these is kept as one sum a speaker, so that
memory and time are bounded and nobody is forgotten.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.options import SPEAKERS
from emotrack.tracker.speakers.linkage import ALIKE, Evidence, linked
from emotrack.tracker.speakers.networks import VoicePrint
from emotrack.tracker.speakers.pieces import TurnPrint

ONE_VOICE: Final = 0.4  # similarity of a turn's halves, below which it may hold two voices
RELIABLE_S: Final = 0.5  # of clean speech from which on a print takes part in clustering
NEW_SPEAKER_S: Final = 2.0  # of clean speech, in all, that a new speaker takes at least, ...
NEW_SHARE: Final = 0.4  # ... or this share of what is known of a speaker on average, ...
NEW_SPEAKER_AT_MOST_S: Final = 4.0  # ... and never more
SETTLED_S: Final = 6.0  # of clean speech of one of two speakers, before they can turn out to be one
_HEAVIEST_S: Final = 4.0  # a longer turn weighs no more
REMEMBERED: Final = 96  # turns that can still get another speaker
MOST_SPEAKERS: Final = int(SPEAKERS.high)  # beyond that, the most alike become one
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
    is_heard: bool = True
    """Whether it holds something that was said here; a voice that was enrolled may be absent."""

    def add(self, other: _Group) -> None:
        """Take in what ``other`` holds."""
        self.sum = self.sum + other.sum
        self.weight += other.weight
        self.is_heard |= other.is_heard


@dataclass(eq=False, slots=True)
class _KnownTurn:
    turn: int
    group: _Group | None
    """None without a print: the speaker is that of ``like``; and where it is known otherwise, who is ``last``."""
    like: _KnownTurn | None = None
    apart: tuple[int, ...] = ()
    last: int | None = None
    """Who it was last, where nobody can be told now: a turn that is somebody's is never nobody's again."""

    @property
    def speaker(self) -> int | None:
        source = self.group or self.like
        told = None if source is None else source.speaker
        return self.last if told is None else told


class Speakers:
    """The speakers of one conversation."""

    def __init__(self, count: int | None = None) -> None:
        """With a ``count``, there are no more of them."""
        self._count = count or MOST_SPEAKERS
        self._turns: list[_KnownTurn] = []  # the latest, oldest first
        self._older: dict[int, _Group] = {}  # by speaker: enrolled, known, and turns that are not remembered singly
        self._names: dict[int, str] = {}  # two speakers of one name are one: a person has said so
        self._by_person: set[int] = set()  # whose names were given, by people or by captions, not counted
        self._given_up: set[str] = set()  # names that people have replaced; nobody else gets them
        self._counted = 0

    @property
    def names(self) -> list[str]:
        """Everybody's, by first appearance."""
        return list(dict.fromkeys(self._names[speaker] for speaker in sorted(self._names)))

    def enroll(self, name: str, print_: VoicePrint) -> None:
        """Know a voice from the beginning, by the mean of its prints, each of length 1.

        The mean itself, not its direction: the similarity to it is then that to the prints, as everywhere here.
        """
        speaker = self._new(name)
        self._older[speaker] = _Group(print_ * np.float32(ENROLLED_S), ENROLLED_S, speaker, is_heard=False)

    def hear(
        self, turn: int, print_: TurnPrint | None, clean_s: float, *, like: int | None, apart: Collection[int]
    ) -> Identified:
        """Take the next turn.

        Args:
            turn: its number.
            print_: of its voice, if there was enough of it.
            clean_s: seconds of it that nobody else spoke in.
            like: an earlier turn of the same voice, by segmentation: its speaker is taken where there is no print.
            apart: turns of others that overlap this one.
        """
        before = self._named_turns()
        group = None
        if print_ is not None:
            weight = self._weight_of(print_, clean_s)
            group = _Group(print_.mean * np.float32(max(weight, 1e-3)), weight)
        likeness = None
        if group is None:
            likeness = next((each for each in self._turns if each.turn == like), None) or next(
                (each for each in reversed(self._turns) if each.turn not in apart), None
            )
        if likeness is not None and likeness.like is not None:
            likeness = likeness.like
        heard = _KnownTurn(turn, group, likeness, apart=tuple(apart))
        self._turns.append(heard)
        merged = self._cluster()
        self._forget()
        return Identified(self._name(heard.speaker), self._revised(before), merged)

    def _weight_of(self, print_: TurnPrint, clean_s: float) -> float:
        """What a turn weighs in clustering, in seconds.

        One whose halves are unlike each other may hold two people, who would become one by it: it tells who they are no
        more than a short one does, and as little as counts where nobody is known yet.
        """
        if clean_s < RELIABLE_S:
            return 0.0
        if print_.alike < ONE_VOICE:
            return 0.0 if self._names else RELIABLE_S
        return min(clean_s, _HEAVIEST_S)

    def learn(self, turn: int, name: str, print_: TurnPrint | None, clean_s: float) -> Identified:
        """Take the next turn, whose speaker is known by other means than the voice: ``name`` is believed.

        Turns of a like voice that nobody is known to have said are this speaker's, earlier and later ones. ``turn``,
        ``print_`` and ``clean_s`` are as for ``hear``; of more than MOST_SPEAKERS names no voice is learned.
        """
        before = self._named_turns()
        number = next((number for number, known in self._names.items() if known == name), None)
        merged: dict[str, str] = {}
        weight = 0.0 if print_ is None else self._weight_of(print_, clean_s)
        if print_ is not None and weight > 0.0 and (number or len(self._older) < MOST_SPEAKERS):
            number = number or self._new(name)
            self._by_person.add(number)
            self._keep(number, _Group(print_.mean * np.float32(weight), weight, number))
            merged = self._cluster()
        if number is not None:
            self._turns.append(_KnownTurn(turn, None, last=number))
            self._forget()
        return Identified(name, self._revised(before), merged)

    def rename(self, speaker: str, name: str) -> Identified:
        """Call a speaker by another name, for turns past and to come; if it is somebody's name, the two are one.

        Raises:
            ValueError: there is no such speaker.
        """
        numbers = [number for number, known in self._names.items() if known == speaker]
        if not numbers:
            raise ValueError(f"there is no speaker {speaker}: there are {', '.join(self.names) or 'none yet'}")
        before = self._named_turns()
        self._given_up.add(speaker)
        if name in self._names.values():  # whose own name was counted has it from a person now
            numbers += [number for number, known in self._names.items() if known == name]
        for number in numbers:
            self._names[number] = name
            self._by_person.add(number)
        return Identified(name, self._revised(before), {})

    def speaker(self, turn: int) -> str | None:
        """Of a turn that is remembered."""
        return next((self._name(each.speaker) for each in self._turns if each.turn == turn), None)

    @property
    def _most(self) -> int:
        """How many speakers there may be, those counted singly that are one by name."""
        return self._count + len(self._names) - len(set(self._names.values()))

    # -- clustering ----------------------------------------------------------------------------------------------

    def _groups(self) -> list[_Group]:
        return [*self._older.values(), *(each.group for each in self._turns if each.group is not None)]

    def _cluster(self) -> dict[str, str]:
        """Give every remembered turn its speaker anew; return who turned out to be somebody else."""
        counted = [group for group in self._groups() if group.weight > 0.0]
        merged = self._assign(self._linked(counted))
        self._place_light_turns()
        for each in self._turns:
            each.last = each.speaker
        self._drop_names()
        left = set(self._names.values())  # of two speakers of one name, one may turn out to be somebody else
        return {name: into for name, into in merged.items() if name not in left}

    def _linked(self, groups: list[_Group]) -> list[list[_Group]]:
        """What is one person's each."""
        if not groups:
            return []
        evidence = Evidence(
            np.stack([group.sum for group in groups]),
            np.array([group.weight for group in groups], dtype=np.float32),
            np.array([group.is_heard for group in groups]),
            self._overlap(groups),
            self._named_apart(groups) | self._apart_for_now(groups),
        )
        return [[groups[place] for place in places] for places in linked(evidence, self._most, self._needed_s())]

    def _needed_s(self) -> float:
        """Clean speech, in all, that a new speaker takes.

        The more was heard of those who are known, the likelier is a voice unlike theirs one of them, who laughs or
        quotes. Who is a speaker already stays one, and who is new has soon said enough.
        """
        known = [group for group in self._groups() if group.speaker is not None and group.is_heard]
        share = NEW_SHARE * _weight(known) / max(len({group.speaker for group in known}), 1)
        return min(max(NEW_SPEAKER_S, share), NEW_SPEAKER_AT_MOST_S)

    def _overlap(self, groups: list[_Group]) -> NDArray[np.bool_]:
        """Which groups hold turns of two voices at once, (groups, groups)."""
        of_turn = {each.turn: each.group for each in self._turns if each.group is not None}
        return _pairs(
            groups,
            ((each.group, of_turn[other]) for each in self._turns for other in each.apart if other in of_turn),
        )

    def _named_apart(self, groups: list[_Group]) -> NDArray[np.bool_]:
        """Which groups are of people whom a person has given two names, (groups, groups)."""
        anchors = self._anchors(groups)
        return _pairs(
            groups,
            (
                (one, other)
                for speaker, one in anchors.items()
                for another, other in anchors.items()
                if self._names[speaker] != self._names[another]
            ),
        )

    def _apart_for_now(self, groups: list[_Group]) -> NDArray[np.bool_]:
        """Which groups are of two speakers of whom so little was heard that nothing makes them one, (groups, groups).

        A turn that is like both would, and the next ones would tell them apart again. Whoever has a name from a person
        may be any of those who were counted.
        """
        said: dict[int, float] = defaultdict(float)
        longest: dict[int, _Group] = {}
        for group in groups:
            if (speaker := group.speaker) is not None:
                said[speaker] += group.weight
                longest[speaker] = max(longest.get(speaker, group), group, key=lambda each: each.weight)
        few = [longest[each] for each, seconds in said.items() if seconds < SETTLED_S and each not in self._by_person]
        are_too_many = len(said) > self._most
        return _pairs(groups, () if are_too_many else itertools.permutations(few, 2))

    def _anchors(self, groups: list[_Group]) -> dict[int, _Group]:
        """What surely is of each speaker whom a person has named: older turns, else the longest one."""
        anchors: dict[int, _Group] = {}
        for group in groups:  # older ones come first
            if (speaker := group.speaker) in self._by_person and speaker not in self._older:
                if speaker not in anchors or group.weight > anchors[speaker].weight:
                    anchors[speaker] = group
            elif speaker in self._by_person:
                anchors.setdefault(speaker, group)
        return anchors

    def _assign(self, clusters: list[list[_Group]]) -> dict[str, str]:
        """Numbers for clusters: each keeps the number of most of what is in it, or is nobody yet."""
        needed_s = self._needed_s()
        somebody = [place for place, cluster in enumerate(clusters) if _weight(cluster) >= needed_s]
        shares = self._shares(clusters)
        numbers = self._kept_numbers(clusters, shares)
        first = max(range(len(clusters)), key=lambda place: _weight(clusters[place]), default=None)
        # The first words of a conversation: who says them is its first speaker, unless people have named as many.
        if not somebody and first is not None and len(self._by_person & set(numbers.values())) < self._most:
            somebody = [first]
        for place in somebody:
            if place not in numbers:
                numbers[place] = self._freed(numbers, somebody, clusters) or self._new(None)
        for place, cluster in enumerate(clusters):
            for group in cluster:
                group.speaker = numbers.get(place)
        mostly = _mostly({pair: share for pair, share in shares.items() if pair[0] in numbers})
        became = {speaker: numbers[place] for speaker, place in mostly.items() if speaker not in numbers.values()}
        self._follow(became)
        names = {self._names[speaker]: self._names[into] for speaker, into in became.items()}
        return {speaker: into for speaker, into in names.items() if speaker != into}

    def _freed(
        self, numbers: dict[int, int], somebody: Collection[int], clusters: Sequence[Sequence[_Group]]
    ) -> int | None:
        """Where there are as many speakers as there may be: the number of who said least, and too little for one.

        The first words of a conversation are a speaker's however few they are; whoever says more may be the only one.
        """
        least = [place for place in numbers if place not in somebody and numbers[place] not in self._by_person]
        if not least or len(numbers) < self._most:
            return None
        return numbers.pop(min(least, key=lambda place: (_weight(clusters[place]), place)))

    def _follow(self, became: Mapping[int, int]) -> None:
        """What is not clustered goes where its speaker has gone."""
        for speaker, older in list(self._older.items()):
            if older.speaker is not None and older.speaker != speaker:
                self._keep(older.speaker, self._older.pop(speaker))
        for each in self._turns:
            each.last = None if each.last is None else became.get(each.last, each.last)

    def _drop_names(self) -> None:
        """Forget who turned out to be somebody else, or nobody."""
        heard = {group.speaker for group in self._groups()}
        for gone in [speaker for speaker in self._names if speaker not in heard]:
            del self._names[gone]
            self._by_person.discard(gone)

    def _shares(self, clusters: list[list[_Group]]) -> dict[tuple[int, int], float]:
        """How much of each speaker so far is in each cluster, by its place and the speaker's number."""
        shares: dict[tuple[int, int], float] = defaultdict(float)
        for place, cluster in enumerate(clusters):
            for group in cluster:
                if group.speaker is not None:
                    shares[place, group.speaker] += group.weight
        return shares

    def _kept_numbers(self, clusters: list[list[_Group]], shares: dict[tuple[int, int], float]) -> dict[int, int]:
        """Which cluster, by place, keeps which speaker's number: who has most of a speaker; a named one stays.

        Of two that are one now, the one who spoke first.
        """
        places = {id(group): place for place, cluster in enumerate(clusters) for group in cluster}
        anchors = self._anchors([group for group in self._groups() if id(group) in places])
        numbers: dict[int, int] = {}
        for speaker, anchor in sorted(anchors.items(), key=lambda each: each[0]):
            numbers.setdefault(places[id(anchor)], speaker)
        for place, speaker in sorted(shares, key=lambda pair: (-shares[pair], pair)):
            if place not in numbers and speaker not in numbers.values():
                numbers[place] = speaker
        mostly = _mostly(shares)
        gone = [speaker for speaker in sorted(mostly, reverse=True) if speaker not in numbers.values()]
        for speaker in gone:
            into = numbers.get(mostly[speaker])
            if into is not None and into > speaker and into not in self._by_person:
                numbers[mostly[speaker]] = speaker
        return numbers

    def _place_light_turns(self) -> None:
        """Turns too short to be counted, and clusters that are nobody yet, go to the most alike.

        To a known voice that was not heard yet they go only if they are alike.
        """
        least: dict[int, float] = {}  # likeness to a centre's direction
        centres: dict[int, NDArray[np.float32]] = {}
        for group in self._groups():
            if group.speaker is not None and group.weight > 0.0:
                centres[group.speaker] = centres.get(group.speaker, np.float32(0.0)) + group.sum
                alone = ALIKE * group.weight / max(float(np.linalg.norm(group.sum)), 1e-9)
                least[group.speaker] = -2.0 if group.is_heard else least.get(group.speaker, alone)
        if not centres:
            return
        speakers = sorted(centres)
        directions = np.stack([centres[speaker] / np.linalg.norm(centres[speaker]) for speaker in speakers])
        by_turn = {each.turn: each for each in self._turns}
        apart: dict[int, set[int]] = defaultdict(set)
        for each in self._turns:
            for other in each.apart:
                apart[each.turn].add(other)
                apart[other].add(each.turn)
        for each in self._turns:
            if (light := each.group) is None or (light.weight > 0.0 and light.speaker is not None):
                continue
            others = {self._name(by_turn[turn].speaker) for turn in apart[each.turn] if turn in by_turn}
            alike = directions @ (light.sum / np.linalg.norm(light.sum))  # (speakers,)
            free = [
                place
                for place, speaker in enumerate(speakers)
                if self._name(speaker) not in others and alike[place] >= least[speaker]
            ]
            light.speaker = speakers[max(free, key=lambda place: float(alike[place]))] if free else None

    # -- memory and names ----------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Keep of the oldest turn what it adds to its speaker."""
        while len(self._turns) > REMEMBERED:
            oldest = self._turns.pop(0)
            for each in self._turns:
                if each.like is oldest:
                    each.like = None
            group = oldest.group
            if group is not None and group.speaker is not None and group.weight > 0.0:
                self._keep(group.speaker, group)

    def _keep(self, speaker: int, group: _Group) -> None:
        """Add to what is kept of a speaker's older turns."""
        if speaker in self._older:
            self._older[speaker].add(group)
        else:
            self._older[speaker] = group

    def _named_turns(self) -> dict[int, str | None]:
        return {each.turn: self._name(each.speaker) for each in self._turns}

    def _revised(self, before: Mapping[int, str | None]) -> dict[int, str | None]:
        """The names of remembered turns that were others ``before``."""
        now = self._named_turns()
        return {turn: now[turn] for turn, name in before.items() if turn in now and now[turn] != name}

    def _new(self, name: str | None) -> int:
        self._counted += 1
        number = self._counted
        if name is None:
            taken = self._given_up.union(self._names.values())
            name = next(each for each in (f"speaker {count}" for count in itertools.count(1)) if each not in taken)
        else:
            self._by_person.add(number)
        self._names[number] = name
        return number

    def _name(self, speaker: int | None) -> str | None:
        return None if speaker is None else self._names.get(speaker)


def _weight(cluster: Sequence[_Group]) -> float:
    return sum(group.weight for group in cluster)


def _mostly(shares: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """The place of the cluster with most of each speaker; ``shares`` are by place and speaker."""
    by_share = sorted(shares, key=lambda pair: (shares[pair], pair))  # of several places, the last one counts
    return {speaker: place for place, speaker in by_share}


def _pairs(groups: Sequence[_Group], pairs: Iterable[tuple[_Group | None, _Group | None]]) -> NDArray[np.bool_]:
    """Whether two ``groups`` are one of the ``pairs``, (groups, groups)."""
    place = {id(group): index for index, group in enumerate(groups)}
    found = np.zeros((len(groups), len(groups)), dtype=bool)
    for one, other in pairs:
        if id(one) in place and id(other) in place:
            found[place[id(one)], place[id(other)]] = found[place[id(other)], place[id(one)]] = True
    return found
