"""The command as a user runs it: what comes out, one clear line for what goes wrong, the exit code."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import av
import pytest

from emotrack.models.bundle import PACKAGED
from emotrack.tracker.audio import SAMPLE_RATE
from tests.models.test_files import umask
from tests.tracker.kitchen_table import AUDIO, CAPTIONS, TRUTH, samples
from tests.tracker.terminal import read_to_end
from tests.tracker.virtual_microphone import VirtualMicrophone, missing
from tests.warm import warm

EMOTRACK = [sys.executable, "-m", "emotrack.command_line"]
# Voices are told apart in test_voices.py; here that would be half of the work.
FAST = ["live", "--file", str(AUDIO), "--fast", "--json", "--speakers", "off"]


def emotrack(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(warm(*arguments), capture_output=True, text=True, timeout=120, check=False, **options)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def unrevised(text: str) -> list[dict[str, Any]]:
    """The events without the revisions of turns, of which there are as many as the network thinks fit."""
    return [event for event in events(text) if not event.get("revision")]


def fails(result: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    """One clear line on stderr, no traceback, the right exit code."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(("emotrack: ", "emotrack live: error: ", "emotrack: error: "))
    for words in says:
        assert words in last


def test_the_bundled_conversation_from_end_to_end(tmp_path: Path) -> None:
    saved = tmp_path / "session.jsonl"
    result = emotrack(*FAST, "--captions", CAPTIONS, "--channels", "split", "--site", "kitchen", "--save", saved)
    assert result.returncode == 0, result.stderr
    found, first_heard = events(result.stdout), unrevised(result.stdout)
    assert [e["type"] for e in first_heard] == ["session_started", *["turn"] * len(TRUTH), "session_ended"]
    assert [(e["speaker"], e["text"]) for e in first_heard[1:-1]] == [(t["speaker"], t["text"]) for t in TRUTH]
    assert found[-1]["turns"] == len(TRUTH)  # a turn that is revised is no further one
    assert saved.read_text() == result.stdout
    assert {e["site"] for e in found} == {"kitchen"}
    first, second = result.stderr.splitlines()
    assert first.startswith("emotrack: ready in")
    assert "emotions are being estimated" in second
    assert f"Saved to {saved}" in second


def test_json_is_the_default_where_stdout_is_no_terminal_and_nothing_is_recorded(tmp_path: Path) -> None:
    result = emotrack("live", "--file", AUDIO, "--fast", "--asr", "none", "--speakers", "off", cwd=tmp_path)
    assert result.returncode == 0
    assert events(result.stdout)[1]["modalities"] == ["speech"]
    assert "Nothing is recorded." in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_teaches_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom emotrack.command_line import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'av', 'rich', 'onnxruntime', 'pydantic', 'faster_whisper', 'aiomqtt', 'ssl'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    for command in ([], ["live"], ["wyoming"], ["devices"], ["voices", "enroll"], ["train"], ["evaluate"]):
        result = subprocess.run(
            [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("usage: emotrack")
    assert emotrack("--version").stdout.startswith("emotrack 0.")


_SAY_HOW_THREADS_WAIT = """
import os, sys
from emotrack import command_line
from emotrack.tracker.command_line import live
live.run_live = lambda _: print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules, "ctranslate2" in sys.modules)
command_line.main(["live", "--mic"])
"""
_LOAD_THE_LIBRARY = """
import os
import emotrack
from emotrack.tracker.session import live_session
from emotrack.tracker.understanding import loading
from emotrack.tracker.understanding.recognisers import faster_whisper
print(os.environ.get("OMP_WAIT_POLICY"))
"""


@pytest.mark.parametrize(
    ("program", "given", "found"),
    [
        (_SAY_HOW_THREADS_WAIT, {}, "passive False False"),
        (_SAY_HOW_THREADS_WAIT, {"OMP_WAIT_POLICY": "active"}, "active False False"),
        (_LOAD_THE_LIBRARY, {}, "None"),
    ],
)
def test_the_command_line_alone_says_how_threads_wait_and_before_they_are_there(
    program: str, given: dict[str, str], found: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert result.stdout.strip() == found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "required"),
        (("live",), "one of --mic, --system, --file, --web-mic and --mqtt is required"),
        (("live", "--system", "--file", "x.wav"), "--system goes alone or with --mic, not with --file"),
        (("live", "--system", "--web-mic", "--web"), "--system goes alone or with --mic, not with --web-mic"),
        (("live", "--mic", "--system", "--channels", "split"), "--mic and --system are two channels already"),
        (("live", "--mic", "--file", "a.wav"), "not allowed with"),
        (("live", "--mic", "--fast"), "--fast goes with --file"),
        (("live", "--mic", "--track", "2"), "--track goes with --file"),
        ((*FAST, "--track", "0"), "between 1 and 1000"),
        ((*FAST, "--captions", CAPTIONS, "--asr", "tiny.en"), "leave --asr out"),
        ((*FAST, "--context", "0"), "between 1 and 1000"),
        ((*FAST, "--context", "many"), "--context"),
        ((*FAST, "--onset", "0.2"), "offset <= onset"),
        ((*FAST, "--channels", "left"), "invalid choice"),
    ],
)
def test_wrong_usage(arguments: tuple[object, ...], says: str) -> None:
    fails(emotrack(*arguments), 2, says)


def test_files_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("this is no audio")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "bad.vtt").write_text("WEBVTT\n\n00:01 --> soon\nhi\n")
    fails(emotrack("live", "--file", tmp_path / "none.wav", "--json"), 1, "none.wav")
    fails(emotrack("live", "--file", tmp_path / "text.wav", "--json"), 1, "text.wav")
    fails(emotrack("live", "--file", tmp_path / "empty.wav", "--json"), 1, "empty.wav")
    fails(emotrack("live", "--file", tmp_path, "--json"), 1, "folder")
    fails(emotrack(*FAST, "--captions", tmp_path / "bad.vtt"), 1, "bad.vtt", "line 3")
    fails(emotrack(*FAST, "--captions", tmp_path / "none.vtt"), 1, "none.vtt")
    fails(emotrack(*FAST, "--asr", "enormous"), 1, "enormous", "sizes")
    fails(emotrack(*FAST, "--save", tmp_path / "no" / "folder.jsonl"), 1, "cannot write")
    fails(emotrack(*FAST, "--asr", "none", "--device", "cuda"), 1, "no CUDA device")


def test_names_before_the_words_are_speakers_who_can_be_redacted(tmp_path: Path) -> None:
    zoom, saved, bare = tmp_path / "zoom.vtt", tmp_path / "session.jsonl", tmp_path / "bare.jsonl"
    zoom.write_text(CAPTIONS.read_text().replace("<v Ana>", "Ana Müller: ").replace("<v Ben>", "Ben Müller: "))
    result = emotrack(*FAST, "--captions", zoom, "--save", saved)
    assert result.returncode == 0, result.stderr
    found = [(turn["speaker"], turn["text"]) for turn in unrevised(result.stdout)[1:-1]]
    assert found == [(f"{turn['speaker']} Müller", turn["text"]) for turn in TRUTH]
    assert emotrack("redact", saved, "--speakers", "-o", bare).returncode == 0
    assert "Müller" in saved.read_text()
    assert "Müller" not in bare.read_text()
    assert '"speaker 2"' in bare.read_text()


def test_captions_of_another_recording_are_told(tmp_path: Path) -> None:
    late, odd = tmp_path / "late.vtt", tmp_path / "odd.vtt"
    late.write_text(CAPTIONS.read_text().replace("00:00:", "00:10:"))
    result = emotrack(*FAST, "--captions", late)
    assert result.returncode == 0
    assert {turn["text"] for turn in unrevised(result.stdout)[1:-1]} == {None}
    assert "emotrack: 0 of 12 captions fit a turn, and only their words" in result.stderr.splitlines()[-1]
    odd.write_text(CAPTIONS.read_text().replace("WEBVTT\n", "WEBVTT\n\nKind: captions\n"))
    result = emotrack(*FAST, "--captions", odd)
    assert [turn["text"] for turn in unrevised(result.stdout)[1:-1]] == [turn["text"] for turn in TRUTH]
    assert result.stderr.splitlines()[0] == f"emotrack: {odd}: left out 1 line before the first caption (line 3)"
    assert "fit a turn" not in result.stderr


def test_bundles_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    mini = PACKAGED / "mini"
    fails(emotrack_asr_none("--bundle", "maxi"), 1, "no bundle 'maxi'")
    copy = tmp_path / "copy"
    shutil.copytree(mini, copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    fails(emotrack_asr_none("--bundle", copy), 1, "model.safetensors", "SHA-256")
    (copy / "tokenizer.json").unlink()
    fails(emotrack_asr_none("--bundle", copy), 1, "missing tokenizer.json")


def emotrack_asr_none(*arguments: object) -> subprocess.CompletedProcess[str]:
    return emotrack(*FAST, "--asr", "none", *arguments)


def test_silence_is_no_failure_and_is_said(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16_000 * 3))
    result = emotrack("live", "--file", tmp_path / "silence.wav", "--fast", "--json", "--asr", "none")
    assert result.returncode == 0
    assert [e["type"] for e in events(result.stdout)] == ["session_started", "session_ended"]
    assert "no speech was found in 3.0 s" in result.stderr.splitlines()[-1]
    assert result.stderr.endswith(": digital silence, every sample is zero\n")


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(warm(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_the_middle_of_a_turn_finishes_and_writes_it(tmp_path: Path, number: signal.Signals) -> None:
    saved = tmp_path / "session.jsonl"
    with start("live", "--file", AUDIO, "--json", "--captions", CAPTIONS, "--save", saved) as process:
        assert process.stdout
        process.stdout.readline()  # session_started
        time.sleep(2.0)  # a second into the first line
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    turn, ended = (event for event in events(out) if event["type"] != "provisional")
    assert turn["text"] == TRUTH[0]["text"]
    assert turn["end_s"] < TRUTH[0]["end"]
    assert ended["reason"] == "interrupted"
    assert len(saved.read_text().splitlines()) == 3
    assert "Traceback" not in err


def test_what_happens_while_somebody_speaks_can_be_left_out(tmp_path: Path) -> None:
    """A recording that is paced as it was spoken, as a microphone is."""
    with wave.open(str(tmp_path / "line.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples()[: 4 * SAMPLE_RATE].mean(axis=1) * 32767).astype("<i2").tobytes())
    live = ("live", "--file", tmp_path / "line.wav", "--json", "--asr", "none")
    wanted = {
        (): (True, True),
        ("--no-provisional", "--no-speculation"): (False, False),
        ("--fast",): (False, False),
    }
    at_once = [start(*live, *options) for options in wanted]
    for process, (has_provisional, speculates) in zip(at_once, wanted.values(), strict=True):
        with process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        found = events(out)
        assert [event["type"] for event in found if event["type"] != "provisional"][1] == "turn"
        assert any(event["type"] == "provisional" for event in found) == has_provisional
        assert (found[-1]["speculation"] is not None) == speculates


def run_until_nobody_reads(*arguments: object) -> tuple[int, str]:
    """Run, read the first event and close the pipe -> exit code and what stderr says."""
    with start(*arguments) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        return process.wait(timeout=60), err


def test_a_closed_stdout_ends_the_session_with_one_line() -> None:
    code, err = run_until_nobody_reads(*FAST, "--captions", CAPTIONS)
    assert code == 1
    assert err.splitlines()[-1] == "emotrack: cannot write to standard output: Broken pipe"
    assert "Traceback" not in err


def test_a_closed_stdout_does_not_end_what_is_saved(tmp_path: Path) -> None:
    saved = tmp_path / "session.jsonl"
    code, err = run_until_nobody_reads(*FAST, "--captions", CAPTIONS, "--save", saved)
    assert code == 1
    assert "the session goes on without it" in err
    assert [e["type"] for e in events(saved.read_text())][-1] == "session_ended"
    assert len(unrevised(saved.read_text())) == len(TRUTH) + 2


def test_a_full_disk_under_save_costs_the_file_only() -> None:
    result = emotrack(*FAST, "--captions", CAPTIONS, "--save", "/dev/full")
    assert result.returncode == 1
    assert "cannot write to /dev/full: No space left on device; the session goes on without it" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(unrevised(result.stdout)) == len(TRUTH) + 2


def test_on_a_terminal_the_dashboard_leaves_a_summary() -> None:
    master, slave = pty.openpty()
    command = warm(*(word for word in FAST if word != "--json"), "--captions", CAPTIONS)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = read_to_end(master)
    assert process.returncode == 0
    entered, left = shown.index(b"\x1b[?1049h"), shown.rindex(b"\x1b[?1049l")
    assert entered < left
    summary = shown[left:].decode()
    assert "12" in summary
    assert "Ana" in summary


def test_a_conversation_through_a_real_microphone(virtual_microphone: VirtualMicrophone, tmp_path: Path) -> None:
    """PulseAudio's null sink plays it, PortAudio records it, the tracker finds the turns."""
    listed = emotrack("devices")
    assert listed.returncode == 0, listed.stderr
    assert "desk_microphone" in listed.stdout

    clip = tmp_path / "clip.wav"
    audio = (samples()[: round(11.2 * SAMPLE_RATE)] * 32767).astype("<i2")  # the first three lines
    with wave.open(str(clip), "wb") as file:
        file.setparams((2, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(audio.tobytes())
    with start("live", "--mic", "desk", "--asr", "none", "--json") as process:
        assert process.stdout
        process.stdout.readline()  # session_started
        virtual_microphone.wait_for_listener()
        virtual_microphone.play(clip).wait(timeout=30)
        time.sleep(1.5)  # the last turn ends with silence
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    *sent, ended = (event for event in events(out) if event["type"] != "provisional")
    turns = [event for event in sent if event["type"] == "turn" and not event["revision"]]
    assert len(turns) == 3, "each once, however often it was revised"
    first = turns[0]["start_s"]
    for turn, line in zip(turns, TRUTH, strict=False):
        assert turn["start_s"] - first == pytest.approx(line["start"] - TRUTH[0]["start"], abs=0.3)
    assert ended["dropped_frames"] == 0


def test_microphones_that_are_not_there(virtual_microphone: VirtualMicrophone) -> None:
    fails(emotrack("live", "--mic", "kitchen", "--json"), 1, "no microphone matches 'kitchen'", "desk_microphone")
    fails(emotrack("live", "--mic", "microphone", "--json"), 1, "several microphones match")
    fails(emotrack("live", "--system", "kitchen", "--json"), 1, "no output matches 'kitchen'", "Monitor of Headset")


def test_a_machine_without_any_microphone(tmp_path: Path) -> None:
    if missing():
        pytest.skip(str(missing()))
    (tmp_path / "alsa.conf").write_text("pcm.nothing { type hw card 99 }")
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")}
    fails(emotrack("live", "--mic", "--json", env=environment), 1, "no microphone found")
    fails(emotrack("devices", env=environment), 1, "no microphone found")


def test_audio_is_kept_when_asked_for_and_words_are_not(tmp_path: Path) -> None:
    saved = tmp_path / "talk.jsonl"
    result = emotrack(*FAST, "--captions", CAPTIONS, "--save", saved, "--keep-audio", "--no-text")
    assert result.returncode == 0, result.stderr
    assert "voices included" in result.stderr
    turns = events(saved.read_text())[1:-1]
    assert {turn["text"] for turn in turns} == {None}
    assert {tuple(turn["modalities"]) for turn in turns} == {("speech", "text")}
    for turn in turns:
        with av.open(str(tmp_path / turn["audio"])) as container:
            seconds = sum(frame.samples for frame in container.decode(audio=0)) / SAMPLE_RATE
        assert seconds == pytest.approx(turn["end_s"] - turn["start_s"], abs=0.002)
    fails(emotrack(*FAST, "--keep-audio"), 2, "--keep-audio goes with --save")


def test_audio_that_cannot_be_kept_costs_the_audio_only(tmp_path: Path) -> None:
    (tmp_path / "talk.audio").write_text("in the way")
    saved = tmp_path / "talk.jsonl"
    result = emotrack(*FAST, "--captions", CAPTIONS, "--save", saved, "--keep-audio")
    assert result.returncode == 1
    assert "no more audio is kept" in result.stderr
    assert len(unrevised(saved.read_text())) == len(TRUTH) + 2


def test_nothing_is_written_into_what_is_read(tmp_path: Path) -> None:
    recording, captions = tmp_path / "talk.flac", tmp_path / "talk.vtt"
    shutil.copyfile(AUDIO, recording)
    shutil.copyfile(CAPTIONS, captions)
    (tmp_path / "symlink").symlink_to(recording)
    (tmp_path / "link").hardlink_to(recording)
    (tmp_path / "talk.audio").symlink_to(recording)
    live = ("live", "--file", recording, "--captions", captions, "--fast", "--json")
    before = recording.read_bytes(), captions.read_bytes()
    for saved in (recording, tmp_path / "symlink", tmp_path / "link"):
        fails(emotrack(*live, "--save", saved), 2, "--save would be written into", "which --file reads")
    fails(emotrack(*live, "--save", captions), 2, "which --captions reads")
    fails(emotrack(*live, "--save", tmp_path / "talk.jsonl", "--keep-audio"), 2, "--keep-audio would be written into")
    fails(emotrack(*live, "--save", tmp_path / "new.audio", "--keep-audio"), 2, "is the folder of --keep-audio")
    with recording.open("ab") as out:
        appended = subprocess.run(warm(*live), stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    fails(appended, 2, "standard output would be written into")
    fails(emotrack(*FAST, "--asr", "none", "--save", recording), 1, "is no saved session")
    assert (recording.read_bytes(), captions.read_bytes()) == before


def test_what_a_session_leaves_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    saved = tmp_path / "talk.jsonl"
    with umask(0):
        result = emotrack(*FAST, "--captions", CAPTIONS, "--save", saved, "--keep-audio")
    assert result.returncode == 0, result.stderr
    left = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert len(left) == 3 + len(TRUTH)
    assert left == {path: 0o700 if path.is_dir() else 0o600 for path in left}
