"""Whether somebody has said what they had to say, as far as words tell."""

from __future__ import annotations

import re
from typing import Final

# Recognisers write a full stop wherever the sound ends. After these English words a sentence goes on, or its speaker is
# still thinking; where another language has one of them at its end, it is waited for as ever.
_GOING_ON: Final = """
a an the my your his its our their this these some any
and or but nor so because although though while if unless until when where whether than as since that which who
of to in on at by for from with without into about between through
i he she we they i'm you're he's she's it's we're they're there's that's i'll we'll i've we've i'd
is am are was were be been will would can could should must may might have has had not very really just like
um uh uhm er erm ah hmm mm well
"""
_GOES_ON: Final = frozenset(_GOING_ON.split())
_CLOSING: Final = "\"')\u2019\u201d\u00bb "


def is_finished(words: str) -> bool:
    """Whether ``words``, recognised of what was said so far, are a whole sentence."""
    said = words.rstrip(_CLOSING)
    if said.endswith(("...", "…")) or not said.endswith((".", "?", "!")):
        return False
    last = re.findall(r"[\w']+", said.casefold().replace("\u2019", "'"))[-1:]
    return bool(last) and last[0] not in _GOES_ON
