"""What the speakers of a session are called at last: renames and merges hold for the turns before them, too."""

from __future__ import annotations


class _Person:
    """Whoever the turns are of that had one name at one time; two who were merged lead to one."""

    __slots__ = ("name", "proved_to_be")

    def __init__(self, name: str) -> None:
        self.name = name
        self.proved_to_be: _Person | None = None


class SpeakerNames:
    """Follows one session, event after event, in time that is proportional to its events."""

    def __init__(self) -> None:
        self._called: dict[str, _Person] = {}
        self._said_by: dict[int, _Person] = {}

    def hear(self, turn_id: int, speaker: str | None) -> None:
        """A turn, or a revision of it, names its speaker."""
        if speaker is None:
            self._said_by.pop(turn_id, None)
        else:
            self._said_by[turn_id] = self._called.setdefault(speaker, _Person(speaker))

    def rename(self, speaker: str, name: str) -> None:
        """All turns so far of a speaker are of the new name; if somebody has it already, the two are one."""
        if speaker == name or (person := self._called.pop(speaker, None)) is None:
            return
        if (other := self._called.get(name)) is not None:
            person.proved_to_be = other
        else:
            person.name = name
            self._called[name] = person

    def speaker(self, turn_id: int) -> str | None:
        """Who says a turn, by the name of now."""
        person = self._said_by.get(turn_id)
        return _at_last(person).name if person is not None else None


def _at_last(person: _Person) -> _Person:
    while (other := person.proved_to_be) is not None:
        if other.proved_to_be is not None:
            person.proved_to_be = other.proved_to_be  # next time the way is half as long
        person = other
    return person
