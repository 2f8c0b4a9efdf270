r"""Captions instead of recognition: WebVTT and SubRip files, with who speaks where they say so.

    text_files   bytes -> text, whatever the encoding
    parsing      text -> cues as they are written; what cannot be used is left out, and said once
    rolling      captions that scroll, each line of which stands in several cues -> each line once
    markup       what a line says, without tags
    names        who speaks: ``<v Ana>``, or ``Ana:`` before the words where the whole file is written so
    reading      all of these in order: a file -> ``Cue``s
    turns        which words belong to which turn

Libraries were tried on twelve faulty files. webvtt-py reads four of them as WebVTT, and six when told that they are
SubRip; srt reads eleven, but ``3,9`` s as 3.009 s; pysubs2 reads eleven, but needs quadratic time for ``{\{\{\``. These
two read no UTF-16 and do not keep ``<v Ana>``. None of the three unrolls, knows ``Ana:`` or tells what it left out.
"""

from emotrack.tracker.understanding.captions.reading import MAX_FILE_BYTES, Cue, read_captions
from emotrack.tracker.understanding.captions.turns import CaptionedTurn, Captions

__all__ = ["MAX_FILE_BYTES", "CaptionedTurn", "Captions", "Cue", "read_captions"]
