"""``emotrack live``: put the parts together, run them, and say how it went.

Importing torch takes a second. Whatever can be refused is refused before, and the recogniser loads meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

from emotrack.errors import UsageError
from emotrack.tracker.command_line.broker_options import broker_options
from emotrack.tracker.command_line.metrics import metrics_of, open_metrics
from emotrack.tracker.command_line.option_groups import read_options
from emotrack.tracker.command_line.page import check_page_options, live_page, page_address
from emotrack.tracker.command_line.running import (
    NO_COMMANDS,
    known_voices,
    load_named_engine,
    run_until_interrupted,
    speaker_options,
)
from emotrack.tracker.command_line.saving import check_saving, consent, saved_to
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.notices import Notice, NoticeBoard, notices_to
from emotrack.tracker.messages.output import say
from emotrack.tracker.mqtt.connection.broker import Broker, read_broker
from emotrack.tracker.session.options import SessionOptions, SpeakerOptions
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sinks.audio_archive import AudioKeeper
from emotrack.tracker.sinks.json_lines import JsonLines, Sink
from emotrack.tracker.site import DEFAULT_SITE
from emotrack.tracker.sources import Source
from emotrack.tracker.understanding.captions import Captions, read_captions

if TYPE_CHECKING:
    from emotrack.tracker.dashboard import Dashboard
    from emotrack.tracker.mqtt.publishing.sink import MqttSink
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.session.live_session import LiveSession
    from emotrack.tracker.session.status import Status
    from emotrack.tracker.understanding.engine import Engine
    from emotrack.tracker.web.server import WebServer

MAX_SITE_CHARS = 256
TOLD_FROM_S = 10.0  # somebody who stops sooner does not wonder why there was no speech


def run_live(arguments: argparse.Namespace) -> int:
    """Run ``emotrack live``; returns the exit code. Raises ``EmotrackError`` for what the user can mend."""
    _check(arguments)
    has_dashboard = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not arguments.json
    if arguments.mqtt is not None:
        from emotrack.tracker.command_line.service import run_service

        return run_service(arguments)

    segmenter = read_options(arguments, SegmenterOptions)
    captions = Captions(read_captions(arguments.captions)) if arguments.captions else None
    broker = read_broker(arguments.publish, broker_options(arguments)) if arguments.publish else None
    known = known_voices(arguments)
    address = page_address(arguments, is_wanted=arguments.web_mic)
    endpoint = open_metrics(arguments)
    source = _open_source(arguments)
    sinks: list[Sink] = [] if has_dashboard else [JsonLines.to_stdout()]
    if arguments.save:
        sinks.append(JsonLines.to_file(arguments.save))
    keeper = AudioKeeper(arguments.save) if arguments.keep_audio else None
    asr = "none" if captions else arguments.asr or "auto"
    engine = load_named_engine(arguments, asr, speakers=any(channel.several for channel in source.speakers))
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.session.live_session import LiveSession

    say(f"ready in {time.perf_counter() - arguments.began:.1f} s, listening to {source.name}")
    if not has_dashboard:  # which shows it all the time
        say(consent(arguments))
    speakers = speaker_options(arguments, known, engine)
    status = LiveStatus(site=arguments.site)
    controls = Controls(status, engine.network.labels)
    published = _mqtt_sink(arguments, broker, engine, controls) if broker else None
    if published:
        sinks.append(published)
    notices, page_notices = NoticeBoard(), NoticeBoard()
    site, server = live_page(arguments, address, controls, source, page_notices) if address else (None, None)
    if site and address:
        sinks.append(site)
        notices.put(Notice(f"the page: {address.link}", about="page"), time.monotonic())
    dashboard = _dashboard(arguments, status, controls, notices) if has_dashboard else None
    if dashboard:
        sinks.append(dashboard)
    counting, metrics = metrics_of(
        endpoint, engine, lambda: not (status.source_lost or (published and published.is_away))
    )
    sinks += counting(status)
    options = _session_options(arguments, segmenter, captions, speakers, keeper)
    session = LiveSession(source, engine, sinks, controls, options)
    try:
        with notices_to(partial(_tell, page_notices, notices if dashboard else None)):
            asyncio.run(_run(session, controls, dashboard, server, metrics))
    finally:
        engine.close()
        if keeper:
            keeper.close()
    _say_what_is_odd(session, source, status, captions, all_heard=not controls.is_stopping)
    return 0


def _say_what_is_odd(
    session: LiveSession, source: Source, status: Status, captions: Captions | None, *, all_heard: bool
) -> None:
    if status.tally.turns == 0 and (all_heard or status.stream_s >= TOLD_FROM_S):
        say(f"no speech was found in {status.stream_s:.1f} s of {source.name}: {session.hearing.why_no_speech}")
    elif captions and (misfit := captions.misfit(status.stream_s, all_heard=all_heard)):
        say(misfit)


def _check(arguments: argparse.Namespace) -> None:
    _check_source(arguments)
    if arguments.fast and not arguments.file:
        raise UsageError("--fast goes with --file; a microphone cannot be hurried")
    if arguments.track and not arguments.file:
        raise UsageError("--track goes with --file; a microphone has no tracks")
    check_saving(arguments)
    check_page_options(arguments)
    if arguments.captions and arguments.asr not in (None, "none"):
        raise UsageError("--captions take the place of recognition: leave --asr out")
    if arguments.mqtt is not None:
        given = {
            "--captions": arguments.captions,
            "--channels split": arguments.channels == "split",
            "--site": arguments.site != DEFAULT_SITE,
        }
        why = "every microphone on the broker is a site of its own"
    else:
        given = {"--audio-topic": arguments.audio_topic, "--group": arguments.group, "--sites": arguments.sites}
        why = "goes with --mqtt"
    for option, value in given.items():
        if value:
            raise UsageError(f"{option}: {why}")
    if not 0 < len(arguments.site) <= MAX_SITE_CHARS:
        raise UsageError(f"--site: a name of 1 to {MAX_SITE_CHARS} characters")


def _check_source(arguments: argparse.Namespace) -> None:
    given = [name for name in ("file", "web_mic", "mqtt") if getattr(arguments, name) not in (None, False)]
    if arguments.system is None:
        if arguments.mic is None and not given:
            raise UsageError("one of --mic, --system, --file, --web-mic and --mqtt is required")
    elif given:
        raise UsageError(f"--system goes alone or with --mic, not with --{given[0].replace('_', '-')}")
    elif arguments.mic is not None and arguments.channels == "split":
        raise UsageError("--channels split: --mic and --system are two channels already")


def _open_source(arguments: argparse.Namespace) -> Source:
    if arguments.file is not None:
        from emotrack.tracker.sources.file import File

        realtime = not arguments.fast
        return File(arguments.file, arguments.channels, realtime, track=arguments.track)
    if arguments.web_mic:
        from emotrack.tracker.web.microphone import WebMicrophone

        return WebMicrophone()
    from emotrack.tracker.sources.microphone import Microphone, SystemSound

    if arguments.system is None:
        return Microphone(arguments.mic or None, arguments.channels)

    system = SystemSound(arguments.system or None)
    if arguments.mic is None:
        return system

    from emotrack.tracker.sources.call import Call

    return Call(Microphone(arguments.mic or None), system)


def _session_options(
    arguments: argparse.Namespace,
    segmenter: SegmenterOptions,
    captions: Captions | None,
    speakers: SpeakerOptions | None,
    keeper: AudioKeeper | None,
) -> SessionOptions:
    return SessionOptions(
        segmenter=segmenter,
        speakers=speakers,
        captions=captions,
        context_turns=arguments.context,
        with_text=not arguments.no_text,
        notice_given=arguments.notice_given,
        keeper=keeper,
        speculate=not (arguments.fast or arguments.no_speculation),
        provisional=not (arguments.fast or arguments.no_provisional),
    )


def _tell(page: NoticeBoard, dashboard: NoticeBoard | None, notice: Notice) -> None:
    """Show a notice on the page, and on the dashboard that has the screen or on the terminal."""
    page.put(notice, time.monotonic())
    if dashboard:
        dashboard.put(notice, time.monotonic())  # its summary repeats it
    else:
        say(notice.line)


def _mqtt_sink(arguments: argparse.Namespace, broker: Broker, engine: Engine, controls: Controls) -> MqttSink:
    from emotrack.tracker.command_line.service import worker_name
    from emotrack.tracker.mqtt.publishing.options import Publishing
    from emotrack.tracker.mqtt.publishing.sink import MqttSink

    publishing = Publishing(broker, worker_name(), arguments.topics == "full", engine)
    takes_commands = arguments.commands == "on"
    if not takes_commands:
        say(NO_COMMANDS)
    return MqttSink(publishing, controls.status, controls, takes_commands=takes_commands)


def _dashboard(arguments: argparse.Namespace, status: Status, controls: Controls, notices: NoticeBoard) -> Dashboard:
    from rich.console import Console

    from emotrack.tracker.dashboard import Dashboard

    return Dashboard(
        site=arguments.site,
        status=status,
        controls=controls,
        console=Console(),
        saved_to=saved_to(arguments),
        notices=notices,
    )


async def _run(
    session: LiveSession,
    controls: Controls,
    dashboard: Dashboard | None,
    server: WebServer | None,
    metrics: AbstractAsyncContextManager[None],
) -> None:
    screen = asyncio.create_task(dashboard.run()) if dashboard else None
    serving = asyncio.create_task(server.run()) if server else None
    try:
        async with metrics:
            await run_until_interrupted(session.run(), controls)
    finally:
        if screen:
            await screen  # it ends when the session has closed its sinks
        if server and serving:
            await server.close()
            await serving
