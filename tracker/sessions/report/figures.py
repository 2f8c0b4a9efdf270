"""The figures: who spoke how much and how, what was uncertain, and how the tracker itself did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from emotrack.tracker.messages.wording import counted
from emotrack.tracker.sessions.report.timeline import share
from emotrack.tracker.sessions.report.view import LabelStyle, SeenTurn, View
from emotrack.tracker.sessions.report.wording import duration, file_name, milliseconds, percent, without_folders
from emotrack.tracker.summary.percentile import percentile

MAX_SPEAKERS = 64  # as many as the tracker counts apart
LEAST_CERTAIN = 12
_STAGES = (
    ("after_end", "From the end of a turn to its emotion"),
    ("end_of_turn", "Pause that ends a turn"),
    ("queued", "Waiting for turns before it"),
    ("recognition", "Recognising the words"),
    ("encoding", "Encoding voice and words"),
    ("context", "Context and fusion"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """So many of some turns, by one emotion."""

    label: LabelStyle
    count: int
    of: int

    @property
    def width(self) -> str:
        return share(self.count, self.of)


@dataclass(frozen=True, slots=True)
class SpeakerFigures:
    """A line of the table of speakers."""

    name: str
    turns: int
    time: str
    of_time: str
    of_turns: str
    width: str
    parts: list[Part]
    uncertain: int
    corrected: int


@dataclass(frozen=True, slots=True)
class Delay:
    """A line of the table of delays."""

    name: str
    p50: str
    p95: str
    most: str


def speakers(view: View) -> list[SpeakerFigures]:
    """Those who spoke longest first; beyond ``MAX_SPEAKERS`` all together."""
    by_speaker: dict[str | None, list[SeenTurn]] = {}
    for turn in view.turns:
        by_speaker.setdefault(turn.speaker, []).append(turn)
    seconds = {speaker: sum(turn.seconds for turn in turns) for speaker, turns in by_speaker.items()}
    order = sorted(by_speaker, key=lambda speaker: -seconds[speaker])
    groups = [(view.name(speaker), by_speaker[speaker]) for speaker in order[:MAX_SPEAKERS]]
    if rest := order[MAX_SPEAKERS:]:
        groups.append((f"{counted(len(rest), 'other')}", [turn for speaker in rest for turn in by_speaker[speaker]]))
    return [_speaker(name, turns, len(view.turns), sum(seconds.values())) for name, turns in groups]


def _speaker(name: str, turns: list[SeenTurn], all_turns: int, all_seconds: float) -> SpeakerFigures:
    seconds = sum(turn.seconds for turn in turns)
    counts = Counter(turn.label for turn in turns)
    return SpeakerFigures(
        name=name,
        turns=len(turns),
        time=duration(seconds),
        of_time=percent(seconds / all_seconds) if all_seconds else "none",
        of_turns=percent(len(turns) / all_turns),
        width=share(seconds, all_seconds or 1.0),
        parts=[Part(label, count, len(turns)) for label, count in counts.most_common()],
        uncertain=sum(turn.uncertain for turn in turns),
        corrected=sum(turn.corrected for turn in turns),
    )


def least_certain(view: View) -> list[SeenTurn]:
    """The uncertain turns that a person should listen to first."""
    uncertain = [turn for turn in view.turns if turn.uncertain]
    return sorted(uncertain, key=lambda turn: (turn.turn.confidence, turn.id))[:LEAST_CERTAIN]


def doubts(view: View) -> list[Part]:
    """Which estimates were uncertain how often, of all estimates of that emotion."""
    estimates = Counter(turn.estimate for turn in view.turns)
    uncertain = Counter(turn.estimate for turn in view.turns if turn.turn.uncertain)
    return [Part(label, count, estimates[label]) for label, count in uncertain.most_common()]


def delays(view: View) -> list[Delay]:
    """Where the time of a turn went."""
    found = []
    for name, title in _STAGES if view.turns else ():
        values = [getattr(turn.turn.latency_ms, name) for turn in view.turns]
        p50, p95 = (milliseconds(percentile(values, percent) or 0.0) for percent in (50, 95))
        found.append(Delay(title, p50, p95, milliseconds(max(values))))
    return found


def losses(view: View) -> list[str]:
    """What the tracker could not keep up with, or lost."""
    ended = view.session.ended
    if ended is None:
        return ["Unknown: the end of the session is missing."]
    counts = (
        (ended.dropped_frames, "audio block", "lost, as not read in time"),
        (ended.dropped_turns, "turn", "dropped, as the models could not keep up"),
        (ended.text_skipped, "turn", "scored on voice alone to catch up"),
    )
    return [f"{counted(count, what)} {why}" for count, what, why in counts if count] or ["Nothing."]


def tracker_facts(view: View) -> list[tuple[str, str]]:
    """What ran, in which version."""
    started = view.session.started
    facts = [("Session", without_folders(view.session.name))]
    if started is not None:
        facts += [
            ("Bundle", without_folders(started.bundle.name)),
            ("Fingerprint", without_folders(started.bundle.fingerprint)),
            ("Recogniser", without_folders(started.recogniser) if started.recogniser else "none: voice only"),
            ("Context", f"the last {counted(started.context_turns, 'turn')}"),
            ("Channels", str(started.channels)),
            ("Emotions", ", ".join(view.label(name).name for name in started.labels)),
            ("Versions", ", ".join(f"{without_folders(k)} {without_folders(v)}" for k, v in started.versions.items())),
        ]
    else:
        facts.append(("Bundle", "unknown: the beginning of the session is missing"))
    ended = view.session.ended
    facts.append(("Ended", without_folders(ended.reason).replace("_", " ") if ended else "unknown"))
    return facts


def headline(view: View) -> list[tuple[str, str]]:
    """The session in a few figures."""
    uncertain = sum(turn.uncertain for turn in view.turns)
    named = {turn.speaker for turn in view.turns if turn.speaker is not None}
    facts = [
        ("Length", duration(view.seconds if view.turns or view.session.ended else 0.0)),
        ("Turns", f"{len(view.turns):,}"),
        ("Speakers", f"{len(named):,}" if named else "not told apart"),
    ]
    if view.turns:
        label, count = Counter(turn.label.name for turn in view.turns).most_common(1)[0]
        facts.append(("Most often", f"{label} ({percent(count / len(view.turns))})"))
        facts.append(("Uncertain", f"{percent(uncertain / len(view.turns))} of turns"))
    return [*facts, ("Marked", counted(len(view.session.marks), "moment"))]


def source_name(view: View) -> str:
    started = view.session.started
    return file_name(started.source) if started is not None else "unknown"
