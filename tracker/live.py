"""``emotrack live``: put the parts together, run them, and say how it went.

Importing torch takes a second. Whatever can be refused is refused before, and the recogniser loads meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emotrack.tracker.activity import Activity
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.captions import Captions, read_captions
from emotrack.tracker.errors import EmotrackError, UsageError
from emotrack.tracker.keeping import AudioKeeper
from emotrack.tracker.options import read_options
from emotrack.tracker.recognisers import Recogniser, open_recogniser
from emotrack.tracker.segmenter import SegmenterOptions
from emotrack.tracker.sinks import JsonLines, Sink
from emotrack.tracker.sources import Source

if TYPE_CHECKING:
    from emotrack.models.network import EmotionNetwork
    from emotrack.tracker.dashboard import Dashboard
    from emotrack.tracker.pipeline import LiveSession

CONSENT = "Everyone who can be heard should know that emotions are being estimated here."


@dataclass(frozen=True, slots=True)
class _Models:
    network: EmotionNetwork
    recogniser: Recogniser | None


class _Notices:
    """One clear line at a time for the person at the terminal: on stderr, or by the dashboard that has the screen."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self.on_screen = False

    def __call__(self, line: str) -> None:
        if self.on_screen:
            self._activity.notice = line  # the dashboard's summary repeats it
        else:
            print(f"emotrack: {line}", file=sys.stderr, flush=True)


def run_live(arguments: argparse.Namespace) -> int:
    """Run ``emotrack live``; returns the exit code. Raises ``EmotrackError`` for what the user can mend."""
    _check(arguments)
    has_dashboard = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not arguments.json
    activity = Activity()
    notices = _Notices(activity)

    segmenter = read_options(arguments, SegmenterOptions)
    captions = Captions(read_captions(arguments.captions)) if arguments.captions else None
    source = _open_source(arguments, notices)
    sinks: list[Sink] = [] if has_dashboard else [JsonLines.to_stdout()]
    if arguments.save:
        sinks.append(JsonLines.to_file(arguments.save))
    keeper = AudioKeeper(arguments.save) if arguments.keep_audio else None
    asr = "none" if captions else arguments.asr or "auto"
    models = load_models(arguments.bundle, asr, arguments.device, arguments.language, notices)
    from emotrack.tracker.pipeline import LiveSession

    notices(f"ready in {time.perf_counter() - arguments.began:.1f} s, listening to {source.name}")
    if not has_dashboard:  # which shows it all the time
        saved_to = _saved_to(arguments)
        notices(f"{CONSENT} {f'Saved to {saved_to}.' if saved_to else 'Nothing is recorded.'}")
    session = LiveSession(
        source,
        models.network,
        models.recogniser,
        sinks,
        captions=captions,
        segmenter=segmenter,
        context_turns=arguments.context,
        site=arguments.site,
        with_text=not arguments.no_text,
        keeper=keeper,
        activity=activity,
        notify=notices,
    )
    try:
        asyncio.run(_run(session, _dashboard(arguments, session, notices) if has_dashboard else None))
    finally:
        if models.recogniser:
            models.recogniser.close()
        if keeper:
            keeper.close()
        notices.on_screen = False
    if session.tally.turns == 0 and not session.is_stopping:
        notices(f"no speech was found in {activity.stream_s:.1f} s of {source.name}")
    return 0


def load_models(bundle: str, asr: str, device: str, language: str | None, notify: Callable[[str], None]) -> _Models:
    """Load and warm the network and the recogniser side by side.

    Raises ``EmotrackError`` when the bundle, the recogniser or the device cannot be had.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="recogniser") as side:
        threads = min(4, len(os.sched_getaffinity(0)))
        recogniser = side.submit(open_recogniser, asr, device, threads, language, notify)
        return _Models(_load_network(bundle, device), recogniser.result())


def _load_network(bundle: str, device: str) -> EmotionNetwork:
    import numpy as np
    import torch

    from emotrack.models.bundle import BundleError, load_bundle

    # Both encoders run at once and take some 10 ms each; more threads than that only get into each other's way.
    torch.set_num_threads(1)
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise EmotrackError("--device cuda: no CUDA device is available")
    try:
        network = load_bundle(bundle, "cuda" if has_cuda and device != "cpu" else "cpu")
    except BundleError as error:
        raise EmotrackError(str(error)) from error
    network.embed_speech(np.zeros(3 * SAMPLE_RATE, dtype=np.float32))
    network.embed_text("ready when you are")
    return network


def _check(arguments: argparse.Namespace) -> None:
    if arguments.fast and not arguments.file:
        raise UsageError("--fast goes with --file; a microphone cannot be hurried")
    if arguments.keep_audio and not arguments.save:
        raise UsageError("--keep-audio goes with --save: the audio is kept beside the session")
    if arguments.captions and arguments.asr not in (None, "none"):
        raise UsageError("--captions take the place of recognition: leave --asr out")


def _saved_to(arguments: argparse.Namespace) -> str | None:
    """Where the session is kept, and whether the voices are; None when nothing is."""
    if not arguments.save:
        return None
    return f"{arguments.save}, voices included" if arguments.keep_audio else str(arguments.save)


def _open_source(arguments: argparse.Namespace, notify: Callable[[str], None]) -> Source:
    if arguments.file is not None:
        from emotrack.tracker.sources.file import FileSource

        return FileSource(arguments.file, arguments.channels, realtime=not arguments.fast, notify=notify)
    from emotrack.tracker.sources.microphone import MicrophoneSource

    return MicrophoneSource(arguments.mic or None, arguments.channels, notify=notify)


def _dashboard(arguments: argparse.Namespace, session: LiveSession, notices: _Notices) -> Dashboard:
    from rich.console import Console

    from emotrack.tracker.dashboard import Dashboard

    dashboard = Dashboard(
        site=arguments.site,
        activity=session.activity,
        controls=session,
        console=Console(),
        saved_to=_saved_to(arguments),
    )
    session.attach(dashboard)
    notices.on_screen = True
    return dashboard


async def _run(session: LiveSession, dashboard: Dashboard | None) -> None:
    """Run to the end; the first Ctrl-C ends it in order, a second one at once."""
    loop = asyncio.get_running_loop()
    running = loop.create_task(session.run())

    def interrupt() -> None:
        if session.is_stopping:
            running.cancel()
        session.stop("interrupted")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    screen = loop.create_task(dashboard.run()) if dashboard else None
    try:
        await running
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if screen:
            await screen  # it ends when the session has closed its sinks
