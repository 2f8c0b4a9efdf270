"""The options of the page, as they are refused before anything is loaded."""

from __future__ import annotations

import pytest

from emotrack.command_line import main


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["live", "--mqtt", "mqtt://localhost/", "--web"], "with --mqtt, emotrack watch --web shows the sites"),
        (["live", "--mqtt", "mqtt://localhost/", "--web-key", "key.pem"], "with --mqtt, emotrack watch --web"),
        (["live", "--web-mic", "--channels", "split"], "a browser's microphone is one channel"),
        (["live", "--web-mic", "--fast"], "--fast goes with --file"),
        (["live", "--file", "talk.wav", "--web-cert", "cert.pem"], "--web-cert and --web-key go with --web"),
        (["live", "--file", "talk.wav", "--web", "localhost:http"], "'localhost:http' is no HOST:PORT"),
        (["watch", "--web", "mqtt://localhost/", "mqtt://localhost/"], "'mqtt://localhost/' is no HOST:PORT"),
        (["watch", "mqtt://localhost/", "--web-key", "key.pem"], "--web-cert and --web-key go with --web"),
        (["live", "--web-mic", "--web", "localhost:0", "--web-cert", "none.pem"], "none.pem: No such file"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
