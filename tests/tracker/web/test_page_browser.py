"""The page in a real browser: what it shows and does, how soon, and the browser as the microphone."""

from __future__ import annotations

import asyncio
import socket
import time
import wave
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.events import Event
from emotrack.tracker.sources import Source
from emotrack.tracker.web.address import bind
from emotrack.tracker.web.microphone import WebMicrophone
from tests.tracker.browser import Browser, needs_chromium
from tests.tracker.dashboard.made_up import ended, mark, merged, provisional, renamed, started, turn
from tests.tracker.kitchen_table import samples
from tests.tracker.web.served import ServedPage
from tests.tracker.web.test_web_microphone import Hearer

pytestmark = needs_chromium
SOON_MS = 100.0  # from an event to its pixels, the median
WHY = {"speech": 0.2, "text": -0.31, "context": 0.05}

T = TypeVar("T")


class PageThread:
    """A page that is served in a thread of its own while the browser has this one."""

    def __init__(self, source: Source | None = None, port: int = 0) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def serve() -> ServedPage:
            return await ServedPage(source, bind(f"127.0.0.1:{port}")).__aenter__()

        self.page = self.run(serve())
        self.url = f"http://{self.page.host}/"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def emit(self, *events: Event) -> None:
        self.run(self.page.emit(events))

    def wishes(self, count: int) -> Sequence[Any]:
        async def take() -> list[Any]:
            wished = self.page.controls.commands()
            return [await anext(wished) for _ in range(count)]

        return self.run(take())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.page.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def now(event: Event) -> Event:
    return event.model_copy(update={"time": datetime.now(UTC)})


@pytest.fixture(scope="module")
def speech() -> Samples:
    return samples()[: 8 * SAMPLE_RATE].mean(axis=1)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, speech: Samples) -> Iterator[Browser]:
    """Its microphone hears the bundled conversation."""
    folder = tmp_path_factory.mktemp("browser")
    with wave.open(str(folder / "speech.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((speech * 32767).astype("<i2").tobytes())
    microphone = f"--use-file-for-fake-audio-capture={folder / 'speech.wav'}"
    browser = Browser(
        folder / "profile", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", microphone
    )
    yield browser
    browser.driver.quit()


def words(browser: Browser, selector: str) -> str:
    return str(browser.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def test_it_shows_the_conversation_and_asks_nobody_else(browser: Browser) -> None:
    with PageThread() as served:
        page = served.page
        page.status.speaking = (True,)
        served.emit(
            *(
                started(),
                turn(1, why=WHY, valence=0.67, arousal=-0.3),
                turn(2, "anger", speaker="Ben", uncertain=True, confidence=0.41),
            ),
            *(
                mark(9.0),
                turn(
                    3,
                    "fear",
                    speaker=None,
                    text=None,
                    text_rejected="no_speech",
                    truncated=True,
                    uncertain=True,
                    doubt="short",
                ),
            ),
            *(
                turn(4, text="<b>No</b> \u202e mischief", end_s=21.0),
                provisional(22.0, 23.0, "sadness", speaker="Ben", valence=-0.5),
            ),
        )
        browser.emulate(1280)
        browser.open(served.url)
        browser.wait("return document.querySelectorAll('.turn').length === 4")
        browser.wait("return document.querySelector('.who')?.textContent.includes('is speaking')")
        shown = words(browser, "#turns")
        for wanted in (
            *(
                "Ana J joy 80 %, pleasant 0.7, calm 0.3",
                "Ben A anger 41",
                "uncertain",
                "A person marked this moment",
                "unknown speaker F fear",
            ),
            *(
                "Voice only: the recogniser heard no speech.",
                "cut short",
                "very short",
                "<b>No</b>",
                "voice",
                "+20",
                "\u221231",
            ),
        ):
            assert wanted in " ".join(shown.split()), wanted
        assert words(browser, "#consent").startswith("Everyone who can be heard should know that emotions are being")
        assert "speaking" in words(browser, "#doing")
        assert "Ben is speaking S sadness 55 % so far unpleasant 0.5" in " ".join(words(browser, "#now").split())
        assert "joy" in words(browser, "#mood")
        assert "2 turns" in words(browser, "#people")
        assert "moonshine" in words(browser, "#session") or "faster-whisper" in words(browser, "#session")
        assert browser.run("return document.querySelectorAll('#lanes .bar:not(.going)').length") == 4
        assert browser.run("return document.querySelectorAll('#lanes .going').length") == 1
        served.emit(turn(2, "joy", speaker="Ben", revision=1), renamed("Ben", "Bea"), merged("Bea", "Ana"))
        browser.wait("return [...document.querySelectorAll('#turn-2 b')].some((b) => b.textContent === 'Ana')")
        assert "joy 80" in " ".join(words(browser, "#turn-2").split())
        assert browser.run("return document.querySelectorAll('#lanes .name').length") == 2
        assert {url.split("/")[2] for url in browser.requests() if not url.startswith("data:")} == {page.host}
        assert browser.complaints() == []


def test_a_person_renames_corrects_marks_pauses_and_stops(browser: Browser) -> None:
    with PageThread() as served:
        page = served.page
        page.status.turns_heard = 1
        page.status.tally.speakers["Ana"] = 1
        served.emit(started(), turn(1))
        browser.emulate(1280)
        browser.open(served.url)
        browser.wait("return document.querySelector('#speakers button') && document.querySelector('.correct')")
        browser.click("#speakers button")
        browser.press("Bea", "\ue007")
        browser.click("#turn-1 .correct")
        browser.click("#correct button[value=anger]")
        browser.click("#mark")
        rename, correction, marked = served.wishes(3)
        assert (rename.speaker, rename.name) == ("Ana", "Bea")
        assert (correction.turn_id, correction.emotion) == (1, "anger")
        assert marked.type == "mark"
        served.emit(correction)
        browser.wait("return document.querySelector('#turn-1').textContent.includes('corrected by a person')")
        browser.click("#pause")
        browser.wait("return document.querySelector('#pause').textContent.includes('Resume')")
        assert page.status.paused
        browser.click("#stop")
        browser.press("\ue00c")  # which is no yes
        assert not page.controls.is_stopping
        browser.click("#stop")
        browser.click("#sure button[value=yes]")
        browser.wait("return document.querySelector('#doing').textContent.includes('stopping')")
        assert page.controls.is_stopping
        assert browser.complaints() == []


def test_from_an_event_to_its_pixels(browser: Browser) -> None:
    with PageThread() as served:
        served.emit(started())
        browser.emulate(1280)
        browser.open(served.url)
        browser.wait("return document.querySelector('#kept').textContent")
        taken_ms = []
        for number in range(1, 21):
            browser.run("delete document.body.dataset.toHereMs")
            served.emit(now(turn(number)))
            taken_ms.append(float(browser.wait("return document.body.dataset.toHereMs")))
            assert browser.run("return document.getElementById(arguments[0]) !== null", f"turn-{number}")
    assert median(taken_ms) <= SOON_MS, taken_ms


def test_for_a_stream_nothing_is_behind_the_latest_turns(browser: Browser) -> None:
    with PageThread() as served:
        served.page.status.stream_s = 12.0
        served.emit(started(), *(turn(number, speaker="Ben" if number == 3 else "Ana") for number in range(1, 4)))
        browser.emulate(1280)
        browser.open(f"{served.url}?view=overlay")
        browser.wait("return document.querySelectorAll('#captions li').length === 2")
        assert "Ben" in words(browser, "#captions")
        grounds = "return ['html', 'body'].map((tag) => getComputedStyle(document.querySelector(tag)).backgroundColor)"
        assert browser.run(grounds) == ["rgba(0, 0, 0, 0)"] * 2
        assert browser.run("return document.querySelector('header').checkVisibility()") is False
        assert browser.run("return document.querySelector('#consent').checkVisibility()")
        browser.open(f"{served.url}?view=overlay&speaker=Ana")
        browser.wait("return document.querySelectorAll('#captions li').length === 2")
        assert "Ben" not in words(browser, "#captions")
        browser.open(f"{served.url}?theme=dark")
        dark = "return getComputedStyle(document.body).backgroundColor"
        assert browser.wait(dark) == "rgb(16, 22, 28)"


FOLLOW_BUTTONS = """
window.places = {};
(function look() {
  for (const button of document.querySelectorAll("button[id]")) {
    const { left, top } = button.getBoundingClientRect();
    if (button.checkVisibility()) (window.places[button.id] ??= new Set()).add(`${left} ${top}`);
  }
  requestAnimationFrame(look);
})();
"""


READ_PLACES = "return Object.fromEntries(Object.entries(window.places).map(([id, seen]) => [id, [...seen]]))"


@pytest.mark.parametrize("width", [390, 1280])
def test_no_button_moves_as_the_page_fills(browser: Browser, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """A person who has seen a button presses where it was; the first figures may come a moment after the welcome."""
    with PageThread(WebMicrophone()) as served:
        served.emit(started(), turn(1))
        browser.emulate(width)
        begins = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FOLLOW_BUTTONS})
        with monkeypatch.context() as patch:
            patch.setattr(served.page.site, "refresh", lambda: None)
            browser.open(served.url)
            browser.wait("return !document.querySelector('#buttons').inert")  # the welcome has come
            time.sleep(0.3)
        browser.wait("return document.querySelector('#kept').textContent")
        time.sleep(0.3)
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", begins)
        places = browser.run(READ_PLACES)
        browser.run("window.places = {}")
        browser.click("#pause")
        browser.wait("return document.querySelector('#pause').textContent.includes('Resume')")
        time.sleep(0.1)
        paused = browser.run(READ_PLACES)
    assert {name: seen for name, seen in paused.items() if len(seen) > 1 or seen != places[name]} == {}
    assert {"mark", "pause", "stop", "microphone-button"} <= set(places)
    assert {name: seen for name, seen in places.items() if len(seen) > 1} == {}


def test_what_was_not_done_is_said_beside_what_everybody_should_know(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ValueError("the session is over")

    with PageThread() as served:
        monkeypatch.setattr(served.page.controls, "mark", refuse)
        served.emit(started())
        browser.emulate(1280)
        browser.open(served.url)
        browser.wait("return document.querySelector('#mark').checkVisibility()")
        browser.click("#mark")
        browser.wait("return document.querySelector('#message').checkVisibility()")
        assert words(browser, "#message") == "That was not done: the session is over."
        assert words(browser, "#consent").startswith("Everyone who can be heard should know that emotions")
        twice = "const ids = [...document.querySelectorAll('[id]')].map(({id}) => id);"
        assert browser.run(f"{twice} return ids.filter((id, at) => ids.indexOf(id) !== at)") == []


@contextmanager
def with_a_microphone(browser: Browser) -> Iterator[tuple[PageThread, Hearer]]:
    """A page that wants a microphone, on a telephone, and what hears it."""
    source = WebMicrophone()
    with PageThread(source) as served:

        async def listen() -> Hearer:
            return Hearer(source)

        hearer = served.run(listen())
        served.emit(started())
        browser.emulate(390)
        browser.open(served.url)
        browser.wait("return document.querySelector('#microphone').checkVisibility()")
        yield served, hearer
        served.run(hearer.close())


LISTENS = "return document.querySelector('#microphone-state').textContent.startsWith('This device listens')"


def test_the_browser_is_the_microphone(browser: Browser, speech: Samples) -> None:
    with with_a_microphone(browser) as (_, hearer):
        browser.click("#microphone-button")
        browser.wait(LISTENS)
        deadline = time.monotonic() + 20
        while len(hearer.samples) < 3 * SAMPLE_RATE and time.monotonic() < deadline:
            time.sleep(0.05)
        browser.click("#microphone-button")
        browser.wait("return document.querySelector('#microphone-state').textContent === 'The microphone is off.'")
        assert browser.complaints() == []
    heard = hearer.samples[:, 0]
    assert len(heard) >= 3 * SAMPLE_RATE
    seconds = [heard[at : at + SAMPLE_RATE] for at in range(0, len(heard) - SAMPLE_RATE + 1, SAMPLE_RATE // 2)]
    assert median(likeness(second, speech) for second in seconds) > 0.9  # a browser that is kept waiting loses some


def test_a_device_is_lent_to_one_session(browser: Browser) -> None:
    with with_a_microphone(browser) as (served, _):
        assert words(browser, "#doing") == "○ no microphone"
        browser.click("#microphone-button")
        browser.wait(LISTENS)
        browser.wait("return !document.querySelector('#doing').textContent.includes('no microphone')")
        served.emit(ended(0))
        browser.wait("return document.querySelector('#microphone-state').textContent.startsWith('The session ended')")
        assert words(browser, "#microphone-button") == "Use this device's microphone"
    browser.wait("return document.querySelector('body').classList.contains('away')")
    assert words(browser, "#doing") == "■ ended"


def test_a_speaker_with_a_new_name_keeps_their_lane(browser: Browser) -> None:
    """Also where the first turns of all have left the strip, and where there is no room for another lane."""
    names = [f"speaker {number}" for number in range(1, 13)]
    with PageThread() as served:
        served.emit(started())
        said = [*names, "speaker 2", *reversed(names)]
        served.emit(
            *(
                turn(number, speaker=name, start_s=10.0 * number, end_s=10.0 * number + 2.0)
                for number, name in enumerate(said, start=1)
            )
        )
        browser.emulate(1280)
        browser.open(served.url)
        lanes = "return [...document.querySelectorAll('#lanes .lane[role=group]')].map((lane) => lane.ariaLabel)"
        browser.wait(f"{lanes}.length === 12")
        before = browser.run(lanes)
        for name, new in (("speaker 3", "Ana"), ("speaker 12", "Ben")):
            served.emit(renamed(name, new))
            before = [new if each == name else each for each in before]
            browser.wait(f"{lanes}.includes(arguments[0])", new)
            assert browser.run(lanes) == before
        assert "others" not in before
        browser.open(f"{served.url}?speaker=Ana")
        browser.wait(f"{lanes}.includes('Ana')")
        served.emit(renamed("Ana", "Eve"))
        browser.wait(f"{lanes}.length === 0")


def likeness(piece: Samples, whole: Samples) -> float:
    """How far a piece is like some place of the whole, which begins anew at its end: 1 for the same."""
    around = np.concatenate([whole, whole[: len(piece)]])
    size = 1 << (len(around) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(piece, size)), size)[: len(whole)]
    energy = np.cumsum(np.concatenate([[0.0], around.astype(np.float64) ** 2]))
    power = energy[len(piece) : len(piece) + len(product)] - energy[: len(product)]
    return float((product / np.sqrt(np.maximum(power * np.sum(piece**2), 1e-9))).max())


def test_after_a_restart_the_page_comes_back_by_itself(browser: Browser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    browser.emulate(1280)
    with PageThread(port=port) as served:
        served.emit(started(), turn(1))
        browser.open(served.url)
        browser.wait("return document.getElementById('turn-1')")
    browser.wait("return document.querySelector('#doing').textContent.includes('reconnecting')")
    assert browser.run("return document.getElementById('turn-1')"), "what was known stays"
    with PageThread(port=port) as served:
        served.emit(*(each.model_copy(update={"session": "another"}) for each in (started(), turn(2))))
        browser.wait("return document.getElementById('turn-2') && !document.getElementById('turn-1')")


@pytest.mark.long
def test_twenty_thousand_turns_stay_smooth(browser: Browser) -> None:
    with PageThread() as served:
        served.emit(started(), *(turn(number, why=WHY, speaker=f"speaker {number % 4}") for number in range(1, 20_001)))
        browser.emulate(1280)
        seconds = browser.open(served.url)
        began = time.perf_counter()
        browser.wait("return document.getElementById('turn-20000')", seconds=60)
        seconds += time.perf_counter() - began
        nodes = browser.run("return document.querySelectorAll('*').length")
        browser.run(
            """
            window.frames_ms = []; let last = performance.now();
            const frame = (at) => { window.frames_ms.push(at - last); last = at; requestAnimationFrame(frame); };
            requestAnimationFrame(frame);
            """
        )
        for number in range(20_001, 20_041):
            served.emit(now(turn(number, why=WHY)))
            time.sleep(0.05)
        box = "document.getElementById('transcript')"
        browser.run(f"{box}.dispatchEvent(new Event('wheel'))")
        for _ in range(40):
            browser.run(f"{box}.scrollBy(0, -600)")
            time.sleep(0.05)
        frames_ms = sorted(browser.run("return window.frames_ms"))
        assert browser.run("return document.querySelectorAll('.turn').length") <= 300
        browser.run("document.getElementById('newest').click()")
        browser.wait("return document.getElementById('turn-20040')")
    print(
        f"\n20,000 turns in {seconds:.1f} s, {nodes} nodes, frames: p50 {frames_ms[len(frames_ms) // 2]:.0f} ms, "
        f"p95 {frames_ms[int(0.95 * len(frames_ms))]:.0f} ms, longest {frames_ms[-1]:.0f} ms"
    )
    assert nodes < 6_000
    assert frames_ms[int(0.95 * len(frames_ms))] < 50
