"""What the documents say is so: their commands and their Python run, their links and names lead somewhere."""

from __future__ import annotations

import argparse
import ast
import asyncio
import html
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import wave
from collections.abc import AsyncIterator, Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pytest

import emotrack
from emotrack.command_line import whole_parser
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.events import EVENT, Event, TextSource, Turn
from emotrack.tracker.mqtt.format.channels import CHANNELS
from emotrack.tracker.mqtt.format.payloads import COMMANDS, parse
from emotrack.tracker.sessions.export import FORMATS
from tests.tracker.kitchen_table import CAPTIONS, samples

ROOT = Path(__file__).parents[1]
ELSEWHERE = {"emotrack", "build", ".git", ".venv"}  # links back here, and what is made or kept while tests run
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in (".", "docs", "train", "train/pretraining", "benchmarks", "models/bundles/mini")
    for path in sorted((ROOT / folder).glob("*.md"))
}
MAX_README_LINES = 120
EXCERPT_S = 4.2  # of the bundled conversation: one turn, and the silence that ends it

OTHER_PROGRAMS = {".", ".ci/run", "cd", "git", "mosquitto_sub", "pip", "pre-commit"}  # their business is not ours
NEEDS = {  # the commands that are read by the parser, but not run, and what they need that is not here
    r"--mic\b|^devices": "a microphone",
    r"mqtts?://": "a broker",
    r"--web\b": "a browser",
    r"^replay|^correct(?!.*--set)": "a terminal",
    r"^(train|evaluate) ": "corpora, and hours",
}
# Runs one command after the other in a process of their own, so that libraries are imported once.
RUNNER = """
import json, sys
from emotrack.command_line import main
for words in json.load(sys.stdin):
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    if code:
        sys.exit(f"emotrack {' '.join(words)}: exit code {code}")
"""


# -- reading documents -----------------------------------------------------------------------------------------------


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [text for found, text in FENCED.findall(DOCUMENTS[name]) if found == language]


def prose(name: str) -> str:
    """A document without its fenced blocks."""
    return FENCED.sub("", DOCUMENTS[name])


def inline_code(name: str) -> list[str]:
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(name))]


def commands(name: str) -> Iterator[list[str]]:
    """The words of every command in the shell blocks of a document, without comments and redirections."""
    for line in "".join(blocks(name, "sh")).replace("\\\n", " ").splitlines():
        for command in re.sub(r"( #| >) .*", "", line).split(" && "):
            yield shlex.split(command)


def own_commands(name: str) -> list[list[str]]:
    """The arguments of every ``emotrack``, also where torchrun starts it."""
    started = (words for words in commands(name) if words[0] in {"emotrack", "torchrun"})
    return [words[words.index("emotrack") + 1 :] for words in started]


def table(name: str, heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading: the code in the first cell, and the other cells."""
    lines = f"\n{DOCUMENTS[name]}".partition(f"\n{heading}\n")[2].splitlines()
    rows: dict[str, list[str]] = {}
    for line in lines[next(at for at, line in enumerate(lines) if line.startswith("|---")) + 1 :]:
        if not line.startswith("|"):
            break
        first, *others = (cell.strip() for cell in line.strip("|").split("|"))
        rows[first.strip("`")] = others
    return rows


def anchors(name: str) -> set[str]:
    """The anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", prose(name), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def need_of(words: list[str]) -> str | None:
    """Why a command is not run here; None where it is."""
    return next((need for pattern, need in NEEDS.items() if re.search(pattern, " ".join(words))), None)


# -- what a reader would run -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recordings, captions and saved sessions that the documents name."""
    folder = tmp_path_factory.mktemp("documents")
    pcm = (samples()[: round(EXCERPT_S * SAMPLE_RATE)] * 32767).astype(np.int16)  # (samples, 2)
    with wave.open(str(folder / "call.wav"), "wb") as file:
        file.setparams((2, 2, SAMPLE_RATE, len(pcm), "NONE", ""))
        file.writeframes(pcm.tobytes())
    with av.open(str(folder / "talk.mp3"), "w") as container:
        stream = container.add_stream("mp3", rate=SAMPLE_RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.T), format="s16p", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with wave.open(str(folder / "ana.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples()[: 30 * SAMPLE_RATE, 0] * 32767).astype(np.int16).tobytes())
    shutil.copy(CAPTIONS, folder / "talk.vtt")
    live = ["live", "--file", "talk.mp3", "--captions", "talk.vtt", "--fast", "--save", "talk.jsonl"]
    run_all([live], folder)
    for copy in ("a", "b"):
        shutil.copy(folder / "talk.jsonl", folder / f"{copy}.jsonl")
    return folder


def run_all(found: list[list[str]], folder: Path) -> None:
    runner = [sys.executable, "-c", RUNNER]
    done = subprocess.run(
        runner,
        input=json.dumps(found),
        cwd=folder,
        env=os.environ | {"EMOTRACK_VOICES": str(folder / "voices")},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr


def test_the_commands_of_documents_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shown = [words for name in DOCUMENTS for words in own_commands(name)]
    different = dict.fromkeys(quick(words) for words in shown if need_of(words) is None)
    assert {words[0] for words in different} >= {"live", "report", "export", "correct", "compare", "redact"}
    run_all([list(words) for words in different], tmp_path)
    assert (tmp_path / "talk.html").stat().st_size > 10_000
    assert {need_of(words) for words in shown} == {None, *NEEDS.values()}


def quick(words: list[str]) -> tuple[str, ...]:
    """A command that does the same without keeping the pace of a recording."""
    return (*words, "--fast") if words[0] == "live" and "--file" in words and "--fast" not in words else tuple(words)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_parser_takes_every_command(name: str) -> None:
    for words in own_commands(name):
        if words != ["--version"]:  # which ends the program
            whole_parser().parse_args(words)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, *words in commands(name):
        match program:
            case "emotrack" | "torchrun":
                pass
            case "make":
                assert words[0] in targets
            case "python":
                assert (ROOT / words[0]).is_file(), words
            case _:
                assert program in OTHER_PROGRAMS


@cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    """Every parser by its command: "" the program's own, "live", "train adapt" and so on."""
    found = {"": whole_parser()}
    waiting = [("", found[""])]
    while waiting:
        command, parser = waiting.pop()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                below = [(f"{command} {name}".strip(), each) for name, each in action.choices.items()]
                found.update(below)
                waiting += below
    return found


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name not in {"CHANGELOG.md", "benchmarks/README.md"}])
def test_commands_and_options_in_sentences_are_there(name: str) -> None:
    options = {option for parser in parsers().values() for option in parser._option_string_actions}
    for program, *words in (code.split() for code in inline_code(name)):
        if program.startswith("--"):
            assert program in options
        elif program == "emotrack" and words and not words[0].isupper():  # COMMAND stands for any
            known = [words[:length] for length in range(3) if " ".join(words[:length]) in parsers()][-1]
            assert known or words[0].startswith("--"), words
            given = {word for word in words if word.startswith("--")}
            assert given <= set(parsers()[" ".join(known)]._option_string_actions), words


# -- Python ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [(name, code) for name in DOCUMENTS for code in blocks(name, "python")],
    ids=lambda value: value[:20],
)
def test_the_python_of_documents_runs(
    name: str,
    code: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A recording speaks in place of a microphone, and a list in place of a WebSocket."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "examples").mkdir()
    shutil.copy(folder / "call.wav", tmp_path / "examples" / "kitchen-table.flac")  # by its content it is read
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(emotrack, "Microphone", lambda: emotrack.File("talk.mp3"))
    compiled = compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"emotrack": emotrack, "websocket": messages()}

    async def run() -> None:
        async with emotrack.Tracker() as names["tracker"]:
            await eval(compiled, names)

    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(run())
    else:
        exec(compiled, names)
    assert capsys.readouterr().out or "print" not in code


async def messages() -> AsyncIterator[bytes]:
    for _ in range(10):
        yield bytes(9_600)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_name_public_python_only(name: str) -> None:
    named = set(re.findall(r"\bemotrack\.([A-Z]\w+|turns)\b", DOCUMENTS[name]))
    assert named <= set(emotrack.__all__)


# -- formats ---------------------------------------------------------------------------------------------------------


def events() -> dict[str, type[Event]]:
    union, _ = get_args(Event)
    return {kind.model_fields["type"].default: kind for kind in get_args(union)}


def test_the_turn_that_is_shown_is_one() -> None:
    (shown,) = blocks("docs/events.md", "json")
    turn = EVENT.validate_json(shown)
    assert isinstance(turn, Turn)
    assert turn.emotion == max(turn.probabilities, key=turn.probabilities.__getitem__)
    assert set(json.loads(shown)) == {field.alias or name for name, field in Turn.model_fields.items()}


def test_every_field_of_every_event_is_explained() -> None:
    common = {"type", "schema_", "site", "session", "time"}
    rows = table("docs/events.md", "## The other events")
    assert set(rows) == set(events()) - {"turn"}
    for kind, cells in rows.items():
        assert set(events()[kind].model_fields) - common <= set(re.findall(r"`(\w+)`", " ".join(cells)))
    turn = " ".join(table("docs/events.md", "## A turn"))
    assert set(Turn.model_fields) - common == set(re.findall(r"\w+", turn))


def test_every_reason_for_an_end_is_explained() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tracker").rglob("*.py"))
    reasons = set(re.findall(r"""(?:\.stop\(|stop_reason or |reason: str = )"(\w+)\"""", sources))
    assert {"end_of_source", "stopped"} <= reasons
    schema = (ROOT / "tracker" / "events.schema.json").read_text()
    assert not [
        reason for reason in reasons if f"`{reason}`" not in DOCUMENTS["docs/events.md"] or reason not in schema
    ]


def test_the_topics_are_those_that_are_published() -> None:
    shown = {kind: (int(cells[1]), cells[2]) for kind, cells in table("docs/mqtt.md", "## Topics").items()}
    expected: dict[str, tuple[int, str]] = {"status": (1, "yes"), "owner": (1, "yes")}
    for channel in CHANNELS:
        topic = channel.topic(*(parameter.upper() for parameter in channel.parameters))
        retained = {0: "", len(channel.payloads): "yes"}.get(len(channel.retained), "start and end")
        if topic.startswith("emotrack/"):
            kind = topic.removeprefix("emotrack/SITE/").replace("SPEAKER", "NAME")
            expected[kind] = (channel.qos, retained)
        else:
            assert topic in inline_code("docs/mqtt.md")
    assert shown == expected


def test_the_commands_over_mqtt_are_those_that_are_followed() -> None:
    rows = table("docs/mqtt.md", "## Commands")
    assert set(rows) == set(COMMANDS)
    for command, (payload, _) in rows.items():
        shown = re.search(r"\{.*\}", payload)
        parse(COMMANDS[command], shown[0].encode() if shown else b"")  # type: ignore[index]


def test_every_export_every_source_of_words_and_every_key_of_the_door_is_explained() -> None:
    formats = re.findall(r"\w+", " ".join(table("docs/sessions.md", "# Saved sessions")))
    assert set(formats) == set(FORMATS)
    recognisers = {source for source in get_args(TextSource) if source != "captions"}
    words = " ".join(f"{first} {' '.join(cells)}" for first, cells in table("docs/command-line.md", "## Words").items())
    assert not [name for name in ("--captions", *recognisers) if name not in words]
    errors = {name for name in emotrack.__all__ if name.endswith("Error")}
    assert not [name for name in {*errors, "Microphone", "File", "Blocks"} if name not in DOCUMENTS["docs/python.md"]]


def test_topics_in_sentences_and_automations_are_there() -> None:
    kinds = {channel.topic(*channel.parameters).rpartition("/")[2] for channel in CHANNELS}
    kinds |= {"status", "owner", "audio", "cmd", "reply", "speaker"}
    named = set(re.findall(r"emotrack/(?:SITE|NAME|kitchen)/(\w+)", DOCUMENTS["docs/mqtt.md"]))
    assert named
    assert named <= kinds


# -- links and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(str(found.resolve().relative_to(ROOT))), target


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_files_and_folders_that_are_named_are_there(name: str) -> None:
    here = (ROOT / name).parent
    tops = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in ELSEWHERE)
    sources = {path.name for top in tops.split("|") for path in (ROOT / top).rglob("*.py")}
    for code in inline_code(name):
        if re.fullmatch(r"[\w./-]+\.py", code) and "/" not in code:
            assert code in sources, code
        elif re.fullmatch(rf"[\w./-]+\.py|({tops})/[\w./-]*", code):
            assert (ROOT / code).exists() or (here / code).exists(), code


def test_every_room_is_in_the_architecture_and_every_page_in_the_readme() -> None:
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tracker").glob("*/__init__.py")}
    assert {f"{room}/" for room in rooms} <= set(inline_code("docs/architecture.md"))
    assert not [name for name in DOCUMENTS if name.startswith("docs/") and f"({name})" not in DOCUMENTS["README.md"]]
    assert len(DOCUMENTS["README.md"].splitlines()) <= MAX_README_LINES


def test_the_names_in_the_glossary_are_in_the_code() -> None:
    """A class, a class's field, a variable, or a module or folder by its path."""
    defined: set[str] = set()
    for path in [*(ROOT / "tracker").rglob("*.py"), *(ROOT / "models").rglob("*.py"), *(ROOT / "train").rglob("*.py")]:
        defined |= {path.stem, *names_in(ast.parse(path.read_text()))}
    for code in re.findall(r"\| (`[^|]*`) \|$", DOCUMENTS["docs/glossary.md"], re.MULTILINE):
        for name in re.findall(r"`([\w.]+)`", code):
            path = ROOT / name.replace(".", "/")
            assert name in defined or path.is_dir() or path.with_suffix(".py").is_file() or lies_in(name), name


def names_in(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines: classes, functions, arguments, variables, and ``Class.field``."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, body=body):
                yield name
                for part in body:
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                        yield f"{name}.{part.target.id}"
                    elif isinstance(part, ast.FunctionDef):
                        yield f"{name}.{part.name}"
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name


def lies_in(name: str) -> bool:
    """Whether the last part of a dotted name is defined in the module that the other parts name."""
    module, _, last = name.rpartition(".")
    path = (ROOT / module.replace(".", "/")).with_suffix(".py")
    if path.is_file():
        return last in set(names_in(ast.parse(path.read_text())))
    folder = path.with_suffix("") / "__init__.py"
    return folder.is_file() and last in set(names_in(ast.parse(folder.read_text())))


def test_the_changelog_is_kept_and_its_newest_version_is_the_package() -> None:
    """By keepachangelog.com: a version, a day, and changes by kind."""
    text = DOCUMENTS["CHANGELOG.md"]
    versions = re.findall(r"^## \[(.*)\] - (.*)$", text, re.MULTILINE)
    assert versions[0][0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert [day for _, day in versions] == sorted(
        (date.fromisoformat(day).isoformat() for _, day in versions), reverse=True
    )
    assert len(versions) + text.count("## [Unreleased]\n") == len(re.findall(r"^## ", text, re.MULTILINE))
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


# -- the picture -----------------------------------------------------------------------------------------------------


def furniture(svg: str) -> tuple[str, list[str], list[str]]:
    """Of a picture of the dashboard: its size, the titles of its boxes, and its last rows, whose words stay."""
    (title,) = re.findall(r"\.(dashboard-r\d+) \{ fill: #8fa3b0;font-weight: bold \}", svg)
    titles = [html.unescape(text).strip() for text in re.findall(rf'class="{title}"[^>]*>([^<]*)<', svg)]
    rows: dict[int, str] = {}
    for row, text in re.findall(r'<text [^>]*"url\(#dashboard-line-(\d+)\)">([^<]*)<', svg):
        rows[int(row)] = rows.get(int(row), "") + html.unescape(text)
    (size,) = re.findall(r'viewBox="([^"]+)"', svg)
    return size, titles, [rows[row].strip() for row in sorted(rows)[-2:]]


def test_the_picture_is_of_the_dashboard_as_it_is(tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: nothing can be drawn")
    drawn = tmp_path / "dashboard.svg"
    command = [sys.executable, str(ROOT / "examples" / "draw_dashboard.py"), "--until", "● speaking", str(drawn)]
    subprocess.run(command, check=True, timeout=120)
    shown = (ROOT / "docs" / "dashboard.svg").read_text(encoding="utf-8")
    assert furniture(drawn.read_text(encoding="utf-8")) == furniture(shown)
    assert "Conversation" in furniture(shown)[1]
    assert "url(http" not in shown, "whoever looks at it fetches nothing"
