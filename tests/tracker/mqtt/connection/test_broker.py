"""Which broker and who we are: URLs, credentials and TLS files."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from emotrack.errors import UsageError
from emotrack.tracker.command_line.broker_options import add_broker_options, broker_options
from emotrack.tracker.mqtt.connection.broker import (
    PASSWORD_VARIABLE,
    USERNAME_VARIABLE,
    Broker,
    BrokerError,
    read_broker,
)
from tests.tracker.mqtt.certificates import Authority


def read(url: str, *options: object) -> Broker:
    parser = argparse.ArgumentParser()
    add_broker_options(parser)
    return read_broker(url, broker_options(parser.parse_args([str(option) for option in options])))


@pytest.mark.parametrize(
    ("url", "host", "port", "username", "shown"),
    [
        ("mqtt://house", "house", 1883, None, "mqtt://house:1883"),
        ("mqtt://house:18830/", "house", 18830, None, "mqtt://house:18830"),
        ("mqtt://an%40a@house/", "house", 1883, "an@a", "mqtt://house:1883"),
        ("mqtt://[::1]:1999/", "::1", 1999, None, "mqtt://[::1]:1999"),
        ("mqtts://house/", "house", 8883, None, "mqtts://house:8883"),
    ],
)
def test_urls(url: str, host: str, port: int, username: str | None, shown: str) -> None:
    broker = read(url)
    assert (broker.host, broker.port, broker.username, str(broker)) == (host, port, username, shown)
    assert (broker.tls is not None) == url.startswith("mqtts")


@pytest.mark.parametrize(
    "url", ["house", "http://house", "mqtt://", "mqtt://house:99999", "mqtt://house/a", "mqtt://["]
)
def test_what_is_no_url_of_a_broker(url: str) -> None:
    with pytest.raises(UsageError, match="broker"):
        read(url)


def test_a_password_has_no_place_on_a_command_line() -> None:
    with pytest.raises(UsageError, match=PASSWORD_VARIABLE) as caught:
        read("mqtt://ana:secret@house/")
    assert "secret" not in str(caught.value)


def test_credentials_from_the_environment_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    with pytest.raises(UsageError, match=USERNAME_VARIABLE):
        read("mqtt://house")
    assert read("mqtt://ben@house").username == "ben"
    monkeypatch.setenv(USERNAME_VARIABLE, "ana")
    broker = read("mqtt://house")
    assert (broker.username, broker.password) == ("ana", "secret")
    assert "secret" not in repr(broker) + str(broker)
    file = tmp_path / "credentials"
    file.write_text("ben:with:colons\nmore\n")
    broker = read("mqtt://house", "--mqtt-credentials", file)
    assert (broker.username, broker.password) == ("ben", "with:colons")
    file.write_text("nothing")
    with pytest.raises(BrokerError, match="USER:PASSWORD"):
        read("mqtt://house", "--mqtt-credentials", file)
    with pytest.raises(BrokerError, match="No such file"):
        read("mqtt://house", "--mqtt-credentials", tmp_path / "none")


def test_tls_files_that_cannot_be_used(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).sign("worker")
    with pytest.raises(UsageError, match="go with mqtts"):
        read("mqtt://house", "--mqtt-ca", tmp_path / "ca.pem")
    with pytest.raises(UsageError, match="goes with --mqtt-cert"):
        read("mqtts://house", "--mqtt-key", key)
    with pytest.raises(BrokerError, match="No such file"):
        read("mqtts://house", "--mqtt-ca", tmp_path / "none.pem")
    (tmp_path / "empty.pem").touch()
    with pytest.raises(BrokerError, match="not a usable PEM file"):
        read("mqtts://house", "--mqtt-ca", tmp_path / "empty.pem")
    with pytest.raises(BrokerError, match="not a usable PEM file"):
        read("mqtts://house", "--mqtt-cert", certificate, "--mqtt-key", certificate)
    assert read("mqtts://house", "--mqtt-cert", certificate, "--mqtt-key", key).tls
