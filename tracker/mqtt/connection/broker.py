"""Which broker, and how to be let in: the URL, TLS files and credentials, checked before anything is loaded.

A password is taken from the environment or from a file only: what stands on a command line, every user of the machine
can read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from emotrack.errors import EmotrackError, UsageError

if TYPE_CHECKING:
    import ssl

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
USERNAME_VARIABLE: Final = "EMOTRACK_MQTT_USERNAME"
PASSWORD_VARIABLE: Final = "EMOTRACK_MQTT_PASSWORD"  # noqa: S105  # where it is, not what it is


class BrokerError(EmotrackError):
    """The broker cannot be used: it turns us away, or what is needed to reach it cannot be read."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how it lets us in; prints as its URL, without the user."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """The files that tell how to be let in; a certificate's key may be in a file of its own."""

    credentials: Path | None = None
    """Its first line is USER:PASSWORD."""
    ca: Path | None = None
    """The certificate authority to trust, not the system's (PEM)."""
    certificate: Path | None = None
    key: Path | None = None


def read_broker(url: str, options: BrokerOptions) -> Broker:
    """The broker at ``url``.

    Raises ``UsageError`` for a URL that cannot be, ``BrokerError`` for files that cannot be read.
    """
    parts, port = _split(url)
    username = unquote(parts.username) if parts.username else os.environ.get(USERNAME_VARIABLE)
    password = os.environ.get(PASSWORD_VARIABLE)
    if options.credentials:
        username, password = _read_credentials(options.credentials)
    if password is not None and username is None:
        raise UsageError(f"a password needs a user name: set {USERNAME_VARIABLE} too")
    files = (options.ca, options.certificate, options.key)
    if parts.scheme == "mqtts":
        tls = _tls(*files)
    elif any(files):
        raise UsageError(f"--mqtt-ca, --mqtt-cert and --mqtt-key go with mqtts://, not with {parts.scheme}://")
    else:
        tls = None
    return Broker(parts.hostname or "", port, username, password, tls)


def _split(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
        url.encode()
        (parts.hostname or "").encode("idna")  # else the look-up would fail by it
    except ValueError as error:  # of which UnicodeError is one
        raise UsageError(f"this is no URL of a broker: {error}") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise UsageError("a broker is given as mqtt://[user@]host[:port]/ or mqtts://…")
    if parts.password is not None:
        raise UsageError(
            "a password on the command line can be read by every user of this machine: "
            f"set {PASSWORD_VARIABLE} or use --mqtt-credentials"
        )
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise UsageError(f"the URL of a broker ends after its port: {parts.scheme}://{parts.netloc}/")
    if port == 0:
        raise UsageError("this is no URL of a broker: nobody listens on port 0")
    return parts, port or PORTS[parts.scheme]


def _read_credentials(path: Path) -> tuple[str, str]:
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline(4096).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BrokerError(f"cannot read the credentials in {path}: {reason}") from None
    username, colon, password = line.partition(":")
    if not username or not colon:
        raise BrokerError(f"{path}: its first line must be USER:PASSWORD")
    return username, password


def _tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    import ssl  # not needed for --help

    if key and not certificate:
        raise UsageError("--mqtt-key goes with --mqtt-cert")
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise BrokerError(f"cannot use the certificate authority {ca}: {_reason(error)}") from None
    if (
        ca
    ):  # From 3.13 on Python also wants RFC 5280's identifiers of keys, which authorities made at home seldom write.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificate:
        try:
            # An empty pass phrase makes an encrypted key an error, where OpenSSL would ask at the terminal.
            context.load_cert_chain(certificate, key, password="")
        except OSError as error:
            raise BrokerError(f"cannot use the certificate {certificate}: {_reason(error)}") from None
    return context


def _reason(error: OSError) -> str:
    return str(error.strerror) if isinstance(error, FileNotFoundError | PermissionError) else "not a usable PEM file"
