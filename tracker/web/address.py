"""Where the page is served, to whom, and how that is said.

On a loopback address the page is for this computer alone, whose other programs could do the same without it. Anywhere
else a token is needed, one to take part and one made of it to look on only. A link carries its token behind a ``#``,
which a browser sends to nobody and which stands in no log.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from emotrack.errors import UsageError
from emotrack.tracker.options import PORTS

TOKEN_VARIABLE: Final = "EMOTRACK_WEB_TOKEN"  # noqa: S105 - its name
MIN_TOKEN, MAX_TOKEN = 20, 200  # characters
DEFAULT_HOST, DEFAULT_PORT = "localhost", 8717
_ADDRESS: Final = re.compile(
    r"(?:(?P<host>\[[0-9A-Fa-f:.%]+\]|[\w.-]*[^\W\d][\w.-]*|\d+(?:\.\d+){3}))?(?::?(?P<port>\d{1,5}))?"
)

Role = Literal["takes part", "looks on"]


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A socket that is bound already, and who may come."""

    host: str
    """As it was given."""
    port: int
    bound: socket.socket
    certificate: Path | None = None
    key: Path | None = None
    token: str | None = field(default=None, repr=False)
    """What whoever takes part must know; None where nobody else can come."""

    @property
    def looking_token(self) -> str | None:
        """What whoever looks on must know: it does not tell the other one."""
        if self.token is None:
            return None
        return hmac.digest(self.token.encode(), b"emotrack: looks on", hashlib.sha256).hex()[:43]

    @property
    def is_secure(self) -> bool:
        """Whether it is HTTPS."""
        return self.certificate is not None

    def role(self, token: str | None) -> Role | None:
        """What somebody with this token may do; None: nothing."""
        if self.token is None:
            return "takes part"
        given = (token or "").encode(errors="replace")
        if hmac.compare_digest(given, self.token.encode()):
            return "takes part"
        return "looks on" if hmac.compare_digest(given, (self.looking_token or "").encode()) else None

    def knows(self, host: str) -> bool:
        """Whether a request may be meant for us by its ``Host``: a name that somebody else could make up may not.

        So a page elsewhere, whose own name it has pointed at this computer, gets nothing (DNS rebinding).
        """
        name = re.sub(r":\d*$", "", host.strip()).strip("[]").lower().rstrip(".")
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            machine = socket.gethostname().lower()
            return name in {"localhost", self.host.lower(), machine, f"{machine.partition('.')[0]}.local"}
        return True

    @property
    def link(self) -> str:
        """The link of whoever takes part."""
        return self._link(self.token)

    def lines(self) -> list[str]:
        """What is said of where the page is, to whoever serves it alone."""
        if self.token is None:
            return [f"the page is {self.link} and can be opened on this computer alone"]
        lines = [
            f"whoever opens this link can listen in, rename, pause and stop: {self.link}",
            f"whoever opens this link can look on only: {self._link(self.looking_token)}",
        ]
        if not self.is_secure:
            lines.append("all that is said on the way can be read by others on the network: --web-cert makes it HTTPS")
        return lines

    def _link(self, token: str | None) -> str:
        is_every = ipaddress.ip_address(self.bound.getsockname()[0].partition("%")[0]).is_unspecified
        host = socket.gethostname() if is_every else self.host
        page = f"{'https' if self.is_secure else 'http'}://{host}:{self.port}/"
        return page if token is None else f"{page}#{token}"


def bind(argument: str, certificate: Path | None = None, key: Path | None = None) -> WebAddress:
    """Take the address ``HOST:PORT``, ``HOST`` or ``PORT``. Raises ``UsageError`` where that cannot be."""
    host, port = _parsed(argument)
    if key is not None and certificate is None:
        raise UsageError("--web-key goes with --web-cert")
    if certificate is not None:
        _check_certificate(certificate, key)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = min(found, key=lambda each: each[0] != socket.AF_INET)
        bound = socket.create_server((str(place[0]), port), family=family, backlog=64)
    except OSError as error:
        raise UsageError(f"--web: cannot listen at {host}:{port}: {error.strerror or error}") from error
    bound.setblocking(False)
    is_loopback = ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback
    token = None if is_loopback else _token()
    shown = f"[{host}]" if ":" in host else host
    return WebAddress(shown, bound.getsockname()[1], bound, certificate, key, token)


def _parsed(argument: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(argument.strip())
    port = int(found["port"] or DEFAULT_PORT) if found else -1
    if found is None or not argument.strip() or not (port == 0 or port in PORTS):
        raise UsageError(f"--web: {argument!r} is no HOST:PORT, such as {DEFAULT_HOST}:{DEFAULT_PORT}")
    return (found["host"] or DEFAULT_HOST).strip("[]"), port


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return secrets.token_urlsafe(32)
    if not (MIN_TOKEN <= len(token) <= MAX_TOKEN and re.fullmatch(r"[\w~.-]+", token, re.ASCII)):
        raise UsageError(f"{TOKEN_VARIABLE}: a token has {MIN_TOKEN} to {MAX_TOKEN} letters, digits, -, _, . and ~")
    return token


def _check_certificate(certificate: Path, key: Path | None) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise UsageError(f"--web-cert {certificate}: is no certificate with its key (PEM)") from error
    except OSError as error:
        raise UsageError(f"--web-cert {certificate}: {error.strerror}") from error
