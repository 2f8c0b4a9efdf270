"""The turns of a recording, from a script without asyncio.

python examples/track_file.py [RECORDING [CAPTIONS]]
"""

from __future__ import annotations

import sys
from pathlib import Path

import emotrack

CONVERSATION = Path(__file__).parent / "kitchen-table.flac"


def main() -> None:
    recording, *captions = sys.argv[1:] or [CONVERSATION, CONVERSATION.with_suffix(".vtt")]
    try:
        for turn in emotrack.turns(recording, captions=captions[0] if captions else None):
            doubt = "?" if turn.uncertain else ""
            said = f"{turn.speaker or 'somebody'} sounds of {turn.emotion}{doubt}: {turn.text or ''}"
            print(f"{turn.start_s:6.1f} s  {said}")
    except emotrack.EmotrackError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
