"""``emotrack voices list`` and ``voices forget``: whose voices are kept, and an end to that."""

from __future__ import annotations

import argparse
import json

from emotrack.errors import EmotrackError, UsageError
from emotrack.tracker.messages.output import say, show, show_tables
from emotrack.tracker.messages.wording import counted
from emotrack.tracker.speakers.voice_store import VoiceStore, kept_name, voice_folder


def run_list(arguments: argparse.Namespace) -> int:
    """Say whose voices are kept; returns the exit code."""
    store = VoiceStore(voice_folder())
    voices = store.voices()
    if arguments.json:
        rows = [voice.model_dump(mode="json", include={"name", "enrolled", "seconds", "embedding"}) for voice in voices]
        files = [{**row, "file": str(store.path(row["name"]))} for row in rows]
        show(json.dumps({"folder": str(store.folder), "voices": files}, ensure_ascii=False))
    elif voices:
        from rich.table import Table
        from rich.text import Text

        from emotrack.tracker.messages.plain import plain

        table = Table("name", "enrolled", "speech", "embedding", box=None, header_style="bold")
        for voice in voices:
            day = f"{voice.enrolled.astimezone():%Y-%m-%d %H:%M}"
            table.add_row(Text(voice.name), day, f"{voice.seconds:.0f} s", Text(plain(voice.embedding)))
        show_tables(table, f"in {plain(str(store.folder))}")
    else:
        show(f"no voice is kept in {store.folder}")
    return 0


def run_forget_voices(arguments: argparse.Namespace) -> int:
    """Delete one voice or all; returns the exit code. Raises ``EmotrackError`` where there is none."""
    if (arguments.name is None) == (not arguments.all):
        raise UsageError("voices forget: a NAME, or --all")
    store = VoiceStore(voice_folder())
    if arguments.all:
        if not (deleted := store.forget_all()):
            raise EmotrackError(f"no voice is kept in {store.folder}")
        say(f"deleted {counted(deleted, 'voice print')} in {store.folder}")
        return 0
    name = kept_name(arguments.name)
    if not store.forget(name):
        raise EmotrackError(f"no voice of {name!r} is kept in {store.folder}")
    say(f"{name}: the voice print is deleted")
    return 0
