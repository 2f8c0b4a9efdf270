"""EmotionML 1.0, a W3C Recommendation: one ``<emotion>`` per turn.

What the specification leaves to whoever writes is settled so:

- The vocabulary is in the document itself. W3C's "big six" have no neutral, and any session has neutral turns.
- ``start`` and ``end`` are milliseconds since 1970, as the specification has it: the wall-clock time at which the
  session started, and stream time from there. A recording tracked with ``--fast`` has the times it would have had.
- ``<category>`` carries ``confidence``, the probability of the emotion, and no ``value``: that is how strong an
  emotion is, which is not estimated. A person's correction has no confidence.
- Valence is the ``pleasure`` of W3C's PAD dimensions, whose values go from 0 to 1: our 0 is .5 there.
- Speaker, words, all probabilities and the estimate behind a correction are in ``<info>``, in a namespace of ours.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from emotrack.tracker.events import Turn
from emotrack.tracker.messages.plain import plain_document
from emotrack.tracker.sessions.export.wording import by_start, distinct, end_s, one_line
from emotrack.tracker.sessions.reading.reader import Session

NAMESPACE = "http://www.w3.org/2009/10/emotionml"
OUR_NAMESPACE = "urn:emotrack:session:1"

_VOCABULARY = "emotions"
_PAD = "http://www.w3.org/TR/emotion-voc/xml#pad-dimensions"
_END = "\n</emotionml>"
_EXPRESSED_THROUGH = {"speech": "voice", "text": "text"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_emotionml(session: Session) -> str:
    """The session as an EmotionML document."""
    emotions = [*session.labels]
    for turn in session.turns:
        emotions += (session.emotion(turn), turn.emotion, *turn.probabilities)
    names = distinct(emotions, _token)
    root = ET.Element("emotionml", {"version": "1.0", "xmlns": NAMESPACE, "xmlns:et": OUR_NAMESPACE})
    info = ET.SubElement(root, "info")
    ET.SubElement(info, "et:session", _about(session))
    if names:  # a vocabulary has at least one word
        root.set("category-set", f"#{_VOCABULARY}")
        vocabulary = ET.SubElement(root, "vocabulary", {"type": "category", "id": _VOCABULARY})
        for name in names.values():
            ET.SubElement(vocabulary, "item", {"name": name})
    began_ms = _began_ms(session)
    ET.indent(root)
    head = ET.tostring(root, encoding="unicode").removesuffix(_END)
    # Turn by turn, as the tree of all turns takes ten times the memory of the document.
    turns = (_indented(_emotion(session, turn, names, began_ms)) for turn in by_start(session))
    return "".join(('<?xml version="1.0" encoding="UTF-8"?>\n', head, *turns, _END, "\n"))


def _indented(emotion: ET.Element) -> str:
    ET.indent(emotion, level=1)
    return f"\n  {ET.tostring(emotion, encoding='unicode')}"


def _about(session: Session) -> dict[str, str]:
    about = {"name": one_line(session.name)}
    if session.started is not None:
        about["bundle"] = one_line(session.started.bundle.name)
        about["fingerprint"] = one_line(session.started.bundle.fingerprint)
    return about


def _began_ms(session: Session) -> int:
    """Wall-clock time of the stream's beginning, as far as it is known."""
    if session.started is not None:
        began = session.started.time
    elif session.turns:
        began = min(turn.time - timedelta(seconds=turn.end_s) for turn in session.turns)  # revisions come later
    else:
        return 0
    return max(0, (began - _EPOCH) // timedelta(milliseconds=1))


def _emotion(session: Session, turn: Turn, names: dict[str, str], began_ms: int) -> ET.Element:
    emotion = ET.Element(
        "emotion",
        {
            "id": f"turn-{turn.turn_id}",
            "start": str(began_ms + round(1000 * turn.start_s)),
            "end": str(began_ms + round(1000 * end_s(turn))),
            "expressed-through": " ".join(dict.fromkeys(_EXPRESSED_THROUGH[m] for m in turn.modalities)),
        },
    )
    is_corrected = turn.turn_id in session.corrections
    _say_more(ET.SubElement(emotion, "info"), turn, names, is_corrected=is_corrected)
    category = ET.SubElement(emotion, "category", {"name": names[session.emotion(turn)]})
    if not is_corrected:
        category.set("confidence", f"{turn.confidence:.4f}")
    dimensions = {"pleasure": turn.valence, "arousal": turn.arousal}
    for name, value in dimensions.items():
        if value is not None:
            emotion.set("dimension-set", _PAD)
            ET.SubElement(emotion, "dimension", {"name": name, "value": f"{(value + 1.0) / 2.0:.4f}"})
    return emotion


def _say_more(info: ET.Element, turn: Turn, names: dict[str, str], *, is_corrected: bool) -> None:
    if turn.speaker:
        ET.SubElement(info, "et:speaker").text = one_line(turn.speaker)
    if turn.text:
        ET.SubElement(info, "et:text").text = plain_document(turn.text)
    estimate = {"emotion": names[turn.emotion], "confidence": f"{turn.confidence:.4f}"}
    estimate["uncertain"] = "true" if turn.uncertain else "false"
    if turn.doubt is not None:
        estimate["doubt"] = turn.doubt
    estimate["corrected"] = "true" if is_corrected else "false"
    probabilities = ET.SubElement(info, "et:estimate", estimate)
    for label, probability in turn.probabilities.items():
        ET.SubElement(probabilities, "et:probability", {"emotion": names[label], "value": f"{probability:.4f}"})


def _token(name: str) -> str:
    """``name`` as XML's NMTOKEN, which the words of a vocabulary must be."""
    return re.sub(r"[^A-Za-z0-9._:-]", "_", name) or "_"
