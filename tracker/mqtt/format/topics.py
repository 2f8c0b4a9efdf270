"""Every topic's name, in one place.

A site's or a speaker's name is one *level* of a topic. Whatever a name contains, its level is safe to publish on, and
two names never share one: characters that MQTT reserves or refuses (``+ # /`` and NUL), that a topic should not
contain (controls and the like), blanks, and the escape characters themselves are written as ``%XX``, byte by byte in
UTF-8. A name whose level would be longer than ``MAX_LEVEL_BYTES`` is cut and ends in ``~`` and a digest of the whole.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from emotrack.tracker import site as site_names

ROOT: Final = "emotrack"
MAX_LEVEL_BYTES: Final = 128
"""Of one level, in UTF-8. A topic has at most six levels, and MQTT allows it 65,535 bytes."""
MAX_REPLY_LEVELS: Final = 8  # below emotrack/NAME/reply
MAX_REPLY_BYTES: Final = 1024
"""Of a response topic, in UTF-8."""
_DIGEST_CHARS: Final = 16  # 64 bits of SHA-256

DEFAULT_SITE: Final = site_names.DEFAULT_SITE
"""Hermes' name for a site that gives none."""

# -- from names to levels --------------------------------------------------------------------------------------------

_ESCAPED: Final = frozenset("+#/%~$")
_ESCAPE = re.compile(r"(?:%[0-9A-F]{2})+")
_NO_CHARACTERS: Final = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_UNSOUND: Final = rf"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NO_CHARACTERS}"  # brokers hang up at these
_RESERVED = re.compile(rf"[+#/{_UNSOUND}]")
_REPLY = re.compile(rf"{ROOT}/[^/+#{_UNSOUND}]+/reply(?:/[^/+#{_UNSOUND}]+){{1,{MAX_REPLY_LEVELS}}}")
_UNSAFE_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def level(name: str) -> str:
    """The topic level of a name.

    >>> level("kitchen"), level("a/b #1")
    ('kitchen', 'a%2Fb%20%231')
    """
    whole = "".join(map(_escaped, name or DEFAULT_SITE))
    if whole.startswith("_"):  # kept for levels that are no site's
        whole = "%5F" + whole[1:]
    if len(whole.encode()) <= MAX_LEVEL_BYTES:
        return whole
    kept = whole.encode()[: MAX_LEVEL_BYTES - _DIGEST_CHARS - 1].decode(errors="ignore")
    return f"{re.sub('%[0-9A-F]?$', '', kept)}~{_digest(name)}"


def name(level: str) -> str:
    """The name that a level stands for; a level that is no escaped name stands for itself.

    >>> name("a%2Fb%20%231"), name("100%")
    ('a/b #1', '100%')
    """
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[0].replace("%", "")).decode(errors="replace"), level)


def object_id(site: str) -> str:
    """A site's identifier of letters, digits, ``_`` and ``-``, as Home Assistant wants it, different for each site."""
    plain = _UNSAFE_IN_ID.sub("_", site)[:40]
    return f"{ROOT}_{plain}" if plain == site else f"{ROOT}_{plain}_{_digest(site)}"


def _escaped(char: str) -> str:
    if char.isprintable() and char not in _ESCAPED and not char.isspace():
        return char
    return "".join(f"%{byte:02X}" for byte in char.encode(errors="replace"))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:_DIGEST_CHARS]


# -- what the tracker publishes --------------------------------------------------------------------------------------


def turn(site: str) -> str:
    return f"{ROOT}/{level(site)}/turn"


def provisional(site: str) -> str:
    return f"{ROOT}/{level(site)}/provisional"


def vad(site: str) -> str:
    return f"{ROOT}/{level(site)}/vad"


def state(site: str) -> str:
    return f"{ROOT}/{level(site)}/state"


def speaker_state(site: str, speaker: str) -> str:
    return f"{ROOT}/{level(site)}/speaker/{level(speaker)}/state"


def shift(site: str) -> str:
    return f"{ROOT}/{level(site)}/shift"


def session(site: str) -> str:
    return f"{ROOT}/{level(site)}/session"


def status(site: str) -> str:
    return f"{ROOT}/{level(site)}/status"


def metrics(site: str) -> str:
    return f"{ROOT}/{level(site)}/metrics"


def error(site: str) -> str:
    return f"{ROOT}/{level(site)}/error"


def source(site: str) -> str:
    """Whether the site's microphone can be heard."""
    return f"{ROOT}/{level(site)}/source"


def owner(site: str) -> str:
    """Which worker serves the site."""
    return f"{ROOT}/{level(site)}/owner"


def snapshot(site: str) -> str:
    """What another worker needs to go on with the site's conversation."""
    return f"{ROOT}/{level(site)}/snapshot"


# -- among the workers of a group ------------------------------------------------------------------------------------


def worker(group: str, worker: str) -> str:
    """Whether a worker is there."""
    return f"{ROOT}/_group/{level(group)}/worker/{level(worker)}"


def any_worker(group: str) -> str:
    """The filter of all workers of a group."""
    return f"{ROOT}/_group/{level(group)}/worker/+"


def echo(worker: str) -> str:
    """What a worker sends to itself, to know that it has heard everything before."""
    return f"{ROOT}/_echo/{level(worker)}"


def of_sites(kind: str, site: str | None) -> str:
    """The filter of what one site, or with None every site, publishes as ``kind``.

    >>> of_sites("turn", None), of_sites("turn", "a/b")
    ('emotrack/+/turn', 'emotrack/a%2Fb/turn')
    """
    return f"{ROOT}/{'+' if site is None else level(site)}/{kind}"


def shared(group: str, topic_filter: str) -> str:
    """The filter of a subscription whose messages the members of ``group`` divide among them."""
    return f"$share/{level(group)}/{topic_filter}"


# -- what the tracker listens to -------------------------------------------------------------------------------------


def audio(site: str) -> str:
    """Raw PCM or small WAVs of one microphone."""
    return f"{ROOT}/{level(site)}/audio"


def command(site: str, command: str) -> str:
    return f"{ROOT}/{level(site)}/cmd/{command}"


HERMES_START_LISTENING: Final = "hermes/asr/startListening"
HERMES_STOP_LISTENING: Final = "hermes/asr/stopListening"
HERMES_TEXT_CAPTURED: Final = "hermes/asr/textCaptured"
HERMES_ERROR: Final = "hermes/error/asr"


def hermes_audio_frame(site: str) -> str:
    """One site's audio, as Hermes names the topic."""
    return f"hermes/audioServer/{_hermes_level(site)}/audioFrame"


def hermes_audio_session_frame(site: str, session: str) -> str:
    """One site's audio within one session, as Hermes names the topic."""
    return f"hermes/audioServer/{_hermes_level(site)}/{_hermes_level(session)}/audioSessionFrame"


def _hermes_level(name: str) -> str:
    """Hermes escapes nothing: a name is its own level, or else nobody can send on it and any safe level will do."""
    return name if name and not _RESERVED.search(name) and len(name.encode()) <= MAX_LEVEL_BYTES else level(name)


# -- filters, which may have wildcards -------------------------------------------------------------------------------

ANY_AUDIO: Final = f"{ROOT}/+/audio"
ANY_COMMAND: Final = f"{ROOT}/+/cmd/+"
ANY_START: Final = f"{ROOT}/+/cmd/start"
ANY_HERMES_AUDIO_FRAME: Final = "hermes/audioServer/+/audioFrame"
ANY_HERMES_AUDIO_SESSION_FRAME: Final = "hermes/audioServer/+/+/audioSessionFrame"
HOME_ASSISTANT_STATUS: Final = "homeassistant/status"


def discovery(site: str) -> str:
    """Where Home Assistant looks for a site's entities."""
    return f"homeassistant/device/{object_id(site)}/config"


def is_command(topic: str) -> bool:
    """Whether a topic is of one site's commands."""
    return (site := split(topic)) is not None and site[1].startswith("cmd/")


def is_reply(topic: str) -> bool:
    """Whether an asker may name this topic for the answer: ``emotrack/NAME/reply/…``, NAME being anything.

    Answers are sent with the tracker's rights: on any other topic an asker could speak as the tracker where it may not
    speak itself.

    >>> is_reply("emotrack/steward/reply/1"), is_reply("homeassistant/status")
    (True, False)
    """
    return len(topic) <= MAX_REPLY_BYTES and bool(_REPLY.fullmatch(topic)) and len(topic.encode()) <= MAX_REPLY_BYTES


def split(topic: str) -> tuple[str, str] | None:
    """The site and the rest of one of this tracker's topics; None for any other topic.

    >>> split("emotrack/a%2Fb/cmd/start"), split("emotrack/_group/g/worker/1")
    (('a/b', 'cmd/start'), None)
    """
    root, _, rest = topic.partition("/")
    site, _, kind = rest.partition("/")
    return (name(site), kind) if root == ROOT and kind and not site.startswith("_") else None
