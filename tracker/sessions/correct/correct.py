"""``emotrack correct``: a person says what turns really sounded like; each answer is appended to the session."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from emotrack.errors import UsageError
from emotrack.tracker.dashboard import DashboardState
from emotrack.tracker.dashboard.canvas import Canvas
from emotrack.tracker.dashboard.frame import Frame
from emotrack.tracker.dashboard.terminal import has_keys
from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Correction, Event, SpeakerRenamed
from emotrack.tracker.interrupts import stopped_by_signals
from emotrack.tracker.messages.notices import Notice, notices_to
from emotrack.tracker.messages.output import show
from emotrack.tracker.messages.wording import counted
from emotrack.tracker.session.controls import speaker_name
from emotrack.tracker.sessions.correct.audio_player import VoicePlayer
from emotrack.tracker.sessions.correct.correct_view import QUIT, Scene, label_keys, paint
from emotrack.tracker.sessions.correct.correction_queue import CorrectionWalk, Decision
from emotrack.tracker.sessions.reading.reader import Session
from emotrack.tracker.sinks.json_lines import JsonLines


def run_correct(session: Session, settings: Sequence[str], names: Sequence[str] = (), *, everything: bool) -> int:
    """Correct turns of ``session`` and name its speakers; returns the exit code.

    ``settings`` (``TURN=EMOTION``) and ``names`` (``SPEAKER=NAME``) say how; without either a person is asked.
    A person is asked about the uncertain turns, or about ``everything``. Raises ``UsageError`` for settings that
    cannot be, before anything is written, and where there is no terminal; ``SinkError`` if the file takes no more.
    """
    if settings or names:
        if everything:
            raise UsageError("--all is for walking through the turns; --set and --rename name their own")
        corrections = [_correction(session, decision) for decision in parse_settings(session, settings)]
        renamed, making_one = parse_names(session, names)
        asyncio.run(_append(session, [*corrections, *renamed]))
        written = [(len(corrections), "correction"), (len(renamed), "new name")]
        show(f"{' and '.join(counted(number, what) for number, what in written if number)} written to {session.path}")
        for each in making_one:
            show(f"{each.speaker} and {each.name} are one speaker now")
        return 0
    if not (sys.stdout.isatty() and has_keys(sys.stdin)) or os.environ.get("TERM") == "dumb":
        raise UsageError(
            "correct needs a terminal to ask on; without one, give --set TURN=EMOTION or --rename SPEAKER=NAME"
        )
    walk = CorrectionWalk(session, everything=everything)
    if not walk.turns:
        rest = "" if everything else "; --all walks through the others"
        show(f"no {'turn' if everything else 'uncertain turn'} is waiting for a correction{rest}")
        return 0
    asyncio.run(_Correcting(session, walk, "turn" if everything else "uncertain turn").run())
    return 0


def parse_settings(session: Session, settings: Sequence[str]) -> list[Decision]:
    """``TURN=EMOTION`` each, the last one of a turn counts. Raises ``UsageError``."""
    known = {turn.turn_id for turn in session.turns}
    decisions: dict[int, Decision] = {}
    for setting in settings:
        number, _, emotion = setting.partition("=")
        if not (number.isascii() and number.isdigit() and emotion):
            raise UsageError(f"--set {setting}: expected TURN=EMOTION, such as 3=joy")
        if int(number) not in known:
            raise UsageError(f"--set {setting}: the session has no turn {number}")
        if emotion not in session.labels:
            raise UsageError(f"--set {setting}: the emotions are {', '.join(session.labels)}")
        decisions[int(number)] = Decision(int(number), emotion)
    return list(decisions.values())


def parse_names(session: Session, names: Sequence[str]) -> tuple[list[SpeakerRenamed], list[SpeakerRenamed]]:
    """``SPEAKER=NAME`` each, one after the other; and those that make two speakers one. Raises ``UsageError``."""
    speakers = {turn.speaker for turn in session.turns if turn.speaker is not None}
    renamed, making_one = [], []
    for setting in names:
        ends = [place for place, char in enumerate(setting) if char == "=" and setting[:place] in speakers]
        if not ends:
            there = ", ".join(sorted(speakers)) or "none"
            raise UsageError(f"--rename {setting}: expected SPEAKER=NAME; the speakers are {there}")
        speaker = setting[: ends[0]]
        try:
            name = speaker_name(setting[ends[0] + 1 :])
        except ValueError as error:
            raise UsageError(f"--rename {setting}: {error}") from None
        new_name = SpeakerRenamed(
            site=session.turns[0].site, session=session.name, time=datetime.now(UTC), speaker=speaker, name=name
        )
        renamed.append(new_name)
        if name in speakers - {speaker}:
            making_one.append(new_name)
        speakers = speakers - {speaker} | {name}
    return renamed, making_one


def _correction(session: Session, decision: Decision) -> Correction:
    return Correction(
        site=session.turns[0].site,
        session=session.name,
        time=datetime.now(UTC),
        turn_id=decision.turn_id,
        emotion=decision.emotion,
    )


async def _append(session: Session, events: Sequence[Event]) -> None:
    sink = JsonLines.to_file(session.path)
    try:
        for event in events:
            await sink.emit(event)
    finally:
        await sink.close()


class _Correcting:
    """The walk on a terminal."""

    def __init__(self, session: Session, walk: CorrectionWalk, what: str) -> None:
        self._session = session
        self._walk = walk
        self._keys = label_keys(session.labels)
        conversation = DashboardState(site=session.turns[0].site, keep_turns=len(session.turns))
        if session.started is not None:
            conversation.apply(session.started)
        for turn in session.turns:
            conversation.apply(turn)
        self._scene = Scene(walk, conversation, session.labels, str(session.path), what)
        self._scene.notice = "; ".join(session.problems) or None
        self._voices = VoicePlayer(session.path)
        self._canvas = Canvas(Console(), self._picture, self._press)
        self._decided: asyncio.Queue[Decision | None] = asyncio.Queue()
        self._failure: SinkError | None = None

    async def run(self) -> None:
        """Ask until the person quits. Raises ``SinkError``."""
        sink = JsonLines.to_file(self._session.path)
        writing = asyncio.get_running_loop().create_task(self._write(sink))
        with notices_to(self._show), stopped_by_signals(self._quit):
            self._hear()
            try:
                await self._canvas.run()
            finally:  # a terminal that is gone must not take the last answer with it
                self._quit()
                await writing
                self._voices.close()
                await sink.close()
        left = counted(sum(turn.turn_id not in self._walk.said for turn in self._walk.turns), self._scene.what)
        show(f"{counted(self._scene.written, 'correction')} written to {self._session.path}, {left} left")
        if self._failure is not None:
            raise self._failure

    async def _write(self, sink: JsonLines) -> None:
        while (decision := await self._decided.get()) is not None:
            try:
                await sink.emit(_correction(self._session, decision))
            except SinkError as error:
                self._failure = error
                self._canvas.close()
                return
            self._scene.written += 1

    def _show(self, notice: Notice) -> None:
        self._scene.notice = notice.line

    def _picture(self, width: int, height: int) -> Frame:
        self._scene.is_playing, self._scene.is_mute = self._voices.is_playing, self._voices.is_mute
        return paint(self._scene, width, height)

    def _press(self, key: str) -> None:
        key, turn = key.lower(), self._walk.current
        if key == QUIT:
            self._quit()
        elif key in {"left", "backspace"}:
            self._walk.back()
            self._hear()
        elif turn is None:
            return
        elif key == "space":
            self._hear()
        elif key in {"right", "tab"}:
            self._settle(self._walk.skip())
        elif key == "enter":
            self._settle(self._walk.decide(turn.emotion))
        elif key in self._keys:
            self._settle(self._walk.decide(self._keys[key]))

    def _settle(self, final: Decision | None) -> None:
        """A turn was left behind: write what can no longer be undone, and play the next one."""
        self._scene.notice = None
        if final is not None:
            self._decided.put_nowait(final)
        self._hear()

    def _hear(self) -> None:
        turn = self._walk.current
        self._voices.play(turn.audio if turn else None)

    def _quit(self) -> None:
        if (final := self._walk.finish()) is not None:
            self._decided.put_nowait(final)
        self._decided.put_nowait(None)
        self._canvas.close()
