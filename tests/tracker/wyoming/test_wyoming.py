"""Words over Wyoming and emotions beside them, asked for with the protocol's own client."""

from __future__ import annotations

import asyncio
import difflib
import errno
import gc
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiomqtt import Client, ProtocolVersion
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info

from emotrack.command_line import main, whole_parser
from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.command_line import wyoming as command
from emotrack.tracker.command_line.wyoming import bind
from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Turn
from emotrack.tracker.session.options import SessionOptions, SpeakerOptions
from emotrack.tracker.sessions.reading.reader import read_sessions
from emotrack.tracker.speakers.networks import load_speaker_networks
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.wyoming import server as serving
from emotrack.tracker.wyoming.server import WyomingServer
from emotrack.tracker.wyoming.site import UtteranceOptions, WyomingSite
from tests.noticing import noticed
from tests.tracker.kitchen_table import TRUTH, samples
from tests.tracker.mqtt.mosquitto import Mosquitto, executable
from tests.tracker.scripted import Recorder, ScriptedRecogniser

SAID = "Good morning."  # by the scripted recogniser
FORMAT = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}


def pcm(number: int) -> bytes:
    """The turn of that number, from 0, of the bundled conversation, and half a second of what follows."""
    audio = samples().mean(axis=1)
    turn = TRUTH[number]
    return (
        (audio[int((turn["start"] - 0.2) * SAMPLE_RATE) : int((turn["end"] + 0.5) * SAMPLE_RATE)] * 32767)
        .astype("<i2")
        .tobytes()
    )


def plain(text: str) -> list[str]:
    """Its words, in small letters."""
    return re.sub(r"[^a-z ]", "", text.lower()).split()


async def speak(client: AsyncTcpClient, audio: bytes, **layout: int) -> None:
    """An utterance as Home Assistant sends it, but for the pace."""
    layout = FORMAT | layout
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(**layout).event())
    for at in range(0, len(audio), 4096):
        await client.write_event(AudioChunk(**layout, audio=audio[at : at + 4096]).event())
    await client.write_event(AudioStop().event())


async def answer(client: AsyncTcpClient) -> str:
    """The words that come back, or the code of the error."""
    async with asyncio.timeout(60):
        event = await client.read_event()
    assert event is not None, "the connection ended"
    return Transcript.from_event(event).text if Transcript.is_type(event.type) else str(Error.from_event(event).code)


async def words(port: int, audio: bytes, **layout: int) -> str:
    """What is answered to an utterance on a connection of its own."""
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await speak(client, audio, **layout)
        return await answer(client)


# -- a service in a process of its own ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    if executable() is None:
        pytest.skip("mosquitto is not installed: nothing can be tried on a real broker")
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def port(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a service with Moonshine that publishes to the broker."""
    said = tmp_path_factory.mktemp("service") / "said"
    command = [sys.executable, "-m", "emotrack.command_line", "wyoming", "--publish", broker.url, "--site", "house"]
    with said.open("w") as stderr:
        process = subprocess.Popen([*command, "--uri", "tcp://127.0.0.1:0", "--asr", "moonshine"], stderr=stderr)
    deadline = time.monotonic() + 120
    while not (found := re.search(r"listening at tcp://127.0.0.1:(\d+)", said.read_text())):
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, "never became ready"
        time.sleep(0.05)
    yield int(found[1])
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0, said.read_text()
    assert "Traceback" not in said.read_text()


def test_words_come_back_and_emotions_go_to_the_broker(port: int, broker: Mosquitto) -> None:
    async def run() -> tuple[list[str], list[Turn]]:
        async with Client("127.0.0.1", broker.port, protocol=ProtocolVersion.V5) as listener:
            await listener.subscribe("emotrack/house/turn")
            heard = [await words(port, pcm(number)) for number in range(3)]
            turns: list[Turn] = []
            async with asyncio.timeout(30):
                async for message in listener.messages:
                    turn = Turn.model_validate_json(bytes(message.payload))
                    turns += [] if turn.revision else [turn]
                    if " ".join(turn.text or "" for turn in turns) == " ".join(heard):
                        break
        return heard, turns

    heard, turns = asyncio.run(run())
    for said, truth in zip(heard, TRUTH, strict=False):
        assert difflib.SequenceMatcher(None, plain(said), plain(truth["text"])).ratio() > 0.8, (said, truth["text"])
    assert len({turn.session for turn in turns}) == 1, "one conversation: the turns before colour those that come"
    assert all(turn.emotion in turn.probabilities and turn.modalities == ("speech", "text") for turn in turns)


def test_those_who_speak_at_once_get_sites_of_their_own(port: int, broker: Mosquitto) -> None:
    async def run() -> tuple[list[str], set[str]]:
        heard = await asyncio.gather(*(words(port, pcm(number)) for number in (0, 2)))
        online: set[str] = set()
        async with Client("127.0.0.1", broker.port) as listener:
            await listener.subscribe("emotrack/+/status")
            async with asyncio.timeout(20):
                async for message in listener.messages:
                    if message.payload == b"online":
                        online.add(str(message.topic).split("/")[1])
                    if len(online) == 2:
                        break
        return heard, online

    heard, online = asyncio.run(run())
    assert "morning" in heard[0].lower()
    assert "job" in heard[1].lower()
    assert online == {"house", "house-2"}


# -- the server by itself ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(
    network: EmotionNetwork, *recorders: Recorder, seconds: float = 0.0, given: Sequence[str] = ()
) -> AsyncIterator[int]:
    """The port of a service whose recogniser always hears the same, and takes ``seconds``.

    Its events go to the recorders, or where the options ``given`` on the command line say.
    """
    engine = Engine(network, ScriptedRecogniser(seconds))
    options = UtteranceOptions("house", SessionOptions(speculate=True), lambda _status, _controls: list(recorders))
    if given:
        arguments = whole_parser().parse_args(["wyoming", *given])
        options = replace(
            options, sinks=command._sinks(arguments, None, engine, lambda _: []), keeper=command._keeper(arguments)
        )
    bound = bind("tcp://127.0.0.1:0")
    server = WyomingServer(bound, engine, options)
    with noticed():
        running = asyncio.create_task(server.run())
        await asyncio.sleep(0.05)
        try:
            yield bound.getsockname()[1]
        finally:
            server.stop("interrupted")
            try:
                async with asyncio.timeout(20):
                    await running
            finally:
                engine.close()


def test_it_says_what_it_can_do(network: EmotionNetwork) -> None:
    async def run() -> Info:
        async with served(network) as port, AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            event = await client.read_event()
            assert event is not None
            return Info.from_event(event)

    (program,) = asyncio.run(run()).asr
    assert (program.name, program.installed) == ("emotrack", True)
    assert [(model.name, model.languages, model.installed) for model in program.models] == [("script", ["en"], True)]


def test_one_connection_may_speak_again_and_silence_is_no_word(network: EmotionNetwork) -> None:
    recorder = Recorder()

    async def run() -> list[str]:
        async with served(network, recorder) as port, AsyncTcpClient("127.0.0.1", port) as client:
            heard = []
            for audio in (pcm(0), bytes(SAMPLE_RATE), pcm(1)):
                await speak(client, audio)
                heard.append(await answer(client))
            return heard

    assert asyncio.run(run()) == [SAID, "", SAID]
    assert [turn.turn_id for turn in recorder.turns] == [1, 2]
    assert not any(turn.truncated for turn in recorder.turns)
    assert recorder.types[-1] == "session_ended"


def test_a_turn_ends_with_its_utterance(network: EmotionNetwork) -> None:
    """Without the silence that ends a turn elsewhere, and without waiting for it."""
    recorder = Recorder()

    async def run() -> str:
        async with served(network, recorder) as port:
            return await words(port, pcm(0)[:-SAMPLE_RATE])

    assert asyncio.run(run()) == SAID
    assert recorder.turns[0].latency_ms.end_of_turn < 100


@pytest.mark.parametrize("layout", [{"rate": 48_000}, {"channels": 2}, {"rate": 8_000}], ids=str)
def test_other_layouts_are_heard(network: EmotionNetwork, layout: dict[str, int]) -> None:
    audio = np.frombuffer(pcm(0), "<i2")
    if "channels" in layout:
        audio = np.repeat(audio, 2)
    else:
        times = np.arange(0, len(audio), SAMPLE_RATE / layout["rate"])
        audio = np.interp(times, np.arange(len(audio)), audio).astype("<i2")

    async def run() -> str:
        async with served(network) as port:
            return await words(port, audio.tobytes(), **layout)

    assert asyncio.run(run()) == SAID


def test_a_chunk_may_end_within_a_sample(network: EmotionNetwork) -> None:
    """As those do that come through Home Assistant's web API."""
    recorder = Recorder()

    async def run() -> list[str]:
        async with served(network, recorder) as port, AsyncTcpClient("127.0.0.1", port) as client:
            heard = []
            for size in (4096, 4095):
                await client.write_event(AudioStart(**FORMAT).event())
                for at in range(0, len(audio := pcm(0)), size):
                    await client.write_event(AudioChunk(**FORMAT, audio=audio[at : at + size]).event())
                await client.write_event(AudioStop().event())
                heard.append(await answer(client))
            return heard

    assert asyncio.run(run()) == [SAID, SAID]
    lengths = [turn.end_s - turn.start_s for turn in recorder.turns]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.001)


def line(kind: str, payload: bytes = b"", data: dict[str, int] | None = None) -> bytes:
    return json.dumps({"type": kind, "data": data or {}, "payload_length": len(payload)}).encode() + b"\n" + payload


START = line("audio-start", data=FORMAT)
WRONG = {
    "no JSON": (b"GET / HTTP/1.1\r\n", "bad_message"),
    "no object": (b"[1]\n", "bad_message"),
    "deep": (b"[" * 60_000 + b"\n", "bad_message"),
    "no type": (b"{}\n", "bad_message"),
    "a long line": (b"x" * 200_000, "too_large"),
    "no length": (b'{"type": "describe", "data_length": "x"}\n', "bad_message"),
    "a negative length": (b'{"type": "describe", "data_length": -1}\n', "bad_message"),
    "huge data": (b'{"type": "describe", "data_length": 1000000000000}\n', "too_large"),
    "a huge chunk": (START + b'{"type": "audio-chunk", "payload_length": 300000}\n', "too_large"),
    "no audio-start": (line("audio-chunk", bytes(64), FORMAT), "bad_message"),
    "a stop alone": (line("audio-stop"), "bad_message"),
    "a rate of 0": (line("audio-start", data=FORMAT | {"rate": 0}), "bad_audio"),
    "a rate that is too high": (line("audio-start", data=FORMAT | {"rate": 10**30}), "bad_audio"),
    "24 bits": (line("audio-start", data=FORMAT | {"width": 3}), "bad_audio"),
    "no channels": (line("audio-start", data={"rate": 16000, "width": 2}), "bad_audio"),
    "another rate in between": (START + line("audio-chunk", bytes(64), FORMAT | {"rate": 8000}), "bad_audio"),
}


def test_what_is_wrong_is_answered_and_costs_nobody_else_anything(network: EmotionNetwork) -> None:
    async def told(port: int, sent: bytes) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(10):
            lines = (await reader.read()).split(b"\n", 1)  # to the end of the connection
        writer.close()
        header = json.loads(lines[0])
        assert header["type"] == "error"
        code: str = json.loads(lines[1])["code"]
        return code

    async def run() -> tuple[dict[str, str], str]:
        async with served(network) as port:
            found = {name: await told(port, sent) for name, (sent, _) in WRONG.items()}
            return found, await words(port, pcm(0))

    found, after = asyncio.run(run())
    assert found == {name: code for name, (_, code) in WRONG.items()}
    assert after == SAID


def test_a_client_that_goes_has_spoken_all_the_same(network: EmotionNetwork) -> None:
    recorder = Recorder()

    async def run() -> str:
        async with served(network, recorder) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            audio = pcm(0)
            writer.write(START + line("audio-chunk", audio[:60_000], FORMAT))
            writer.write(b'{"type": "audio-chunk", "payload_length": 4000}\n...')
            await writer.drain()
            writer.close()
            async with asyncio.timeout(20):
                while not recorder.turns:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            return await words(port, audio)

    assert asyncio.run(run()) == SAID
    assert [turn.turn_id for turn in recorder.turns] == [1, 2]


def test_who_hangs_up_on_the_answer_leaves_no_traceback(
    network: EmotionNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_eof(_: asyncio.StreamWriter) -> None:  # as after a reset that the loop has not seen yet
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(asyncio.StreamWriter, "write_eof", write_eof)
    failures: list[str] = []

    async def run() -> str:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["message"]))
        async with served(network) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.readline()
            writer.close()
            await asyncio.sleep(0.1)
            gc.collect()  # a failure that nobody asks for is told only then
            return await words(port, pcm(0))

    assert asyncio.run(run()) == SAID
    assert failures == []


def test_too_many_at_once_are_told(network: EmotionNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_SITES", 2)

    async def run() -> list[str]:
        async with served(network, seconds=0.5) as port:
            heard = await asyncio.gather(*(words(port, pcm(0)) for _ in range(3)))
            return [*sorted(heard), await words(port, pcm(0))]

    assert asyncio.run(run()) == [SAID, SAID, "busy", SAID]


def test_who_falls_silent_in_an_utterance_is_told(network: EmotionNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "STALLED_S", 0.2)

    async def run() -> list[str]:
        async with served(network) as port:
            async with AsyncTcpClient("127.0.0.1", port) as client:
                await client.write_event(AudioStart(**FORMAT).event())
                stalled = await answer(client)
            return [stalled, await words(port, pcm(0))]

    assert asyncio.run(run()) == ["stalled", SAID]


@pytest.mark.parametrize("deed", ["pause", "stop"])
def test_a_site_that_was_paused_or_stopped(network: EmotionNetwork, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is paused is not heard; after a stop the next utterance begins a new session."""
    sites: list[WyomingSite] = []
    begin = WyomingSite.begin
    monkeypatch.setattr(WyomingSite, "begin", lambda site: (sites.append(site), begin(site))[1])

    async def run() -> list[str]:
        async with served(network) as port:
            first = await words(port, pcm(0))
            controls = sites[0]._controls
            controls.pause(True) if deed == "pause" else controls.stop("stopped")
            return [first, await words(port, pcm(0))]

    assert asyncio.run(run()) == [SAID, "paused" if deed == "pause" else SAID]


def test_words_come_also_where_events_go_nowhere(network: EmotionNetwork) -> None:
    """Whoever loses the events is told when the service ends."""
    heard: list[str] = []

    async def run() -> None:
        async with served(network, Recorder(fail_after=1)) as port:
            heard.extend([await words(port, pcm(0)), await words(port, pcm(0))])

    with pytest.raises(SinkError, match="cannot write to the recorder"):
        asyncio.run(run())
    assert heard == [SAID, SAID]


def test_somebody_waits_for_the_words_of_every_sound(network: EmotionNetwork) -> None:
    """Also where voices are told apart, as the service does, and an "um" by itself is else no turn."""
    start = round(TRUTH[0]["start"] * SAMPLE_RATE)
    sound = samples()[start : start + SAMPLE_RATE // 2].mean(axis=1, keepdims=True)

    async def run() -> str:
        engine = Engine(network, ScriptedRecogniser(said="Um."), speaker_networks=load_speaker_networks())
        options = SessionOptions(speculate=True, speakers=SpeakerOptions())
        site = WyomingSite("house", engine, UtteranceOptions("house", options, lambda _status, _controls: []))
        try:
            async with asyncio.timeout(20):
                site.begin()
                await site.hear(sound, SAMPLE_RATE)
                return await site.end()
        finally:
            site.stop("interrupted")
            await site.running
            engine.close()

    assert asyncio.run(run()) == "Um."


def test_what_is_said_is_kept_by_site_and_without_words_if_wanted(network: EmotionNetwork, tmp_path: Path) -> None:
    async def run(*given: str) -> list[str]:
        async with served(network, seconds=0.2, given=["--save", str(tmp_path / "talk.jsonl"), *given]) as port:
            return await asyncio.gather(*(words(port, pcm(0)) for _ in range(2)))

    assert asyncio.run(run("--no-text")) == [SAID, SAID]
    assert asyncio.run(run("--keep-audio")) == [SAID, SAID]
    for site in ("house", "house-2"):
        turns = [turn for session in read_sessions(tmp_path / f"talk.{site}.jsonl") for turn in session.turns]
        assert [turn.text for turn in turns] == [None, SAID]
        assert turns[0].audio is None
        assert (tmp_path / str(turns[1].audio)).is_file()


def test_what_cannot_be_kept_is_told_to_whoever_spoke(network: EmotionNetwork, tmp_path: Path) -> None:
    (tmp_path / "talk.house-2.jsonl").write_text("a diary\n")

    async def run() -> list[str]:
        async with served(network, seconds=0.2, given=["--save", str(tmp_path / "talk.jsonl")]) as port:
            return await asyncio.gather(*(words(port, pcm(0)) for _ in range(2)))

    assert sorted(asyncio.run(run())) == [SAID, "failed"]
    assert (tmp_path / "talk.house-2.jsonl").read_text() == "a diary\n"


def test_unknown_messages_are_passed_over(network: EmotionNetwork) -> None:
    async def run() -> str:
        async with served(network) as port, AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Event("of-the-future", {"a": 1}, b"xyz"))
            await speak(client, pcm(0))
            return await answer(client)

    assert asyncio.run(run()) == SAID


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--publish URL, --json or --save FILE"),
        (["--json", "--keep-audio"], "--keep-audio goes with --save"),
        (["--json", "--asr", "none"], "--asr none"),
        (["--json", "--uri", "tcp://localhost"], "is no tcp://HOST:PORT"),
        (["--json", "--uri", "unix:///tmp/x"], "is no tcp://HOST:PORT"),
        (["--json", "--uri", "tcp://127.0.0.1:65536"], "is no tcp://HOST:PORT"),
        (["--json", "--uri", "tcp://192.0.2.1:10300"], "--uri: cannot listen at 192.0.2.1:10300"),
        (["--json", "--site", ""], "--site"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wyoming", *words]) == 2
    (found,) = capsys.readouterr().err.splitlines()
    assert told in found


def test_importing_the_library_opens_nothing(tmp_path: Path) -> None:
    program = (
        "import socket\n"
        "def refuse(*_, **__): raise SystemExit('opened')\n"
        "socket.socket.connect = socket.socket.bind = socket.getaddrinfo = refuse\n"
        "import wyoming.asr, wyoming.audio, wyoming.error, wyoming.event, wyoming.info\n"
        "import sys; assert not {'zeroconf', 'flask'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
