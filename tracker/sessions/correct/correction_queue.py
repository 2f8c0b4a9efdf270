"""Walking through turns to correct them: which comes next, what was said of it, what can be taken back."""

from __future__ import annotations

from dataclasses import dataclass

from emotrack.tracker.events import Turn
from emotrack.tracker.sessions.reading.reader import Session


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says a turn sounded like."""

    turn_id: int
    emotion: str


class CorrectionWalk:
    """The turns to look at, the doubtful ones first, and the person's way through them.

    Events are never taken back, so the latest decision waits in memory until the person moves on from the next
    turn: until then, going back undoes it without a trace. Going back further lets a person decide again, and the
    newer correction counts. ``decide``, ``skip`` and ``finish`` return the decision that is to be written now.
    """

    def __init__(self, session: Session, *, everything: bool = False) -> None:
        """Walk through the uncertain turns that nobody corrected yet, or through ``everything``."""
        self.said: dict[int, str] = {turn_id: c.emotion for turn_id, c in session.corrections.items()}
        """What counts for each turn, whether it is written yet or not."""
        self.turns: list[Turn] = sorted(
            (turn for turn in session.turns if everything or (turn.uncertain and turn.turn_id not in self.said)),
            key=lambda turn: (turn.turn_id in self.said, not turn.uncertain, turn.confidence, turn.turn_id),
        )
        self.place = 0
        """How many turns lie behind."""
        self._written = dict(self.said)
        self._waiting: Decision | None = None

    @property
    def current(self) -> Turn | None:
        """The turn to look at; None behind the last one."""
        return self.turns[self.place] if self.place < len(self.turns) else None

    @property
    def waiting(self) -> Decision | None:
        """The latest decision, while it can be undone without a trace."""
        return self._waiting

    def decide(self, emotion: str) -> Decision | None:
        """Say what the current turn sounded like, and go on to the next."""
        turn = self.current
        if turn is None:
            return None
        final = self.skip()
        if self._written.get(turn.turn_id) != emotion:
            self._waiting = Decision(turn.turn_id, emotion)
        self.said[turn.turn_id] = emotion
        return final

    def skip(self) -> Decision | None:
        """Go on to the next turn."""
        if self.current is None:
            return None
        self.place += 1
        return self.finish()

    def finish(self) -> Decision | None:
        """Let the latest decision stand."""
        final, self._waiting = self._waiting, None
        if final is not None:
            self._written[final.turn_id] = final.emotion
        return final

    def back(self) -> None:
        """Return to the turn before; what was decided there last is undone unless it is written."""
        if self.place == 0:
            return
        self.place -= 1
        turn_id = self.turns[self.place].turn_id
        if self._waiting is not None and self._waiting.turn_id == turn_id:
            self._waiting = None
            if turn_id in self._written:
                self.said[turn_id] = self._written[turn_id]
            else:
                del self.said[turn_id]
