"""What a user waits for: from the end of a turn, and from the last speech in it, to its emotion.

The bundled conversation at the pace at which it was spoken, through the installed command, with and without
speculation, and through the straight-line script (see ``straight_line``). They take turns, each pass alone.
"""

from __future__ import annotations

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings
from benchmarks.processes import EMOTRACK, SCRIPT, watch
from benchmarks.speech import CAPTIONS, CONVERSATION
from benchmarks.whisper import Whisper, whisper

TRACKERS = {
    "emotrack": [*EMOTRACK, str(CONVERSATION)],
    "without speculation": [*EMOTRACK, str(CONVERSATION), "--no-speculation"],
    "straight-line script": [*SCRIPT, str(CONVERSATION)],
    "script that keeps embeddings": [*SCRIPT, str(CONVERSATION), "--keep-embeddings"],
}


def word_sources(tiny: Whisper) -> dict[str, list[str]]:
    """Where the words of a turn may come from, each with its options."""
    return {
        "captions": ["--captions", str(CAPTIONS)],
        "Moonshine tiny": ["--asr", "moonshine"],
        "Whisper tiny": ["--asr", str(tiny.folder)],
    }


def measure(settings: Settings) -> Found:
    """Yield the latencies, ms."""
    tiny = whisper("tiny", settings.workspace)
    kinds = word_sources(tiny)
    trackers = list(TRACKERS)[::2] if settings.quick else list(TRACKERS)
    for kind, options in kinds.items():
        for tracker in trackers:
            run = watch([*TRACKERS[tracker], *options])
            yield Figure(f"after the end, {kind}", tracker, "ms", run.latencies_ms("after_end"))
            from_speech = run.latencies_ms("end_of_turn", "after_end")
            yield Figure(f"from the last speech, {kind}", tracker, "ms", from_speech)
    yield Note(tiny.note)


BENCHMARK = Benchmark("latency", "Turn latency", measure)
