"""Draw the dashboard in the middle of the bundled conversation, as the picture that the documents show.

    python examples/draw_dashboard.py [--until WORDS] FILE.svg

needs tmux (``apt-get install tmux``). ``emotrack live`` runs in a terminal of its own, at the pace of the conversation,
until WORDS are in a row of the screen; rich draws what the terminal shows then. ``make picture`` draws the one in
``docs/``.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COMMAND = "emotrack live --file kitchen-table.flac"
WIDTH, HEIGHT = 110, 33  # cells, for ten turns and all that the dashboard shows beside them
LONGER_S = 1.5  # so that the next turn is under way
PATIENCE_S = 90.0  # the conversation has 48 s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, metavar="FILE.svg")
    parser.add_argument("--until", default="scared", metavar="WORDS")
    arguments = parser.parse_args()
    arguments.picture.write_text(to_svg(screen(arguments.until)), encoding="utf-8")


def screen(words: str) -> str:
    """The terminal's rows, with escape sequences for their colours, a little after ``words`` appear on it."""
    with tempfile.TemporaryDirectory() as folder:
        tmux = ["tmux", "-S", f"{folder}/tmux", "-f", "/dev/null"]
        environment = f"env -u LINES -u COLUMNS COLORTERM=truecolor PATH={Path(sys.executable).parent}:$PATH"
        start = ["new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(HERE), f"{environment} {COMMAND}"]
        subprocess.run([*tmux, *start, ";", "set", "-g", "status", "off"], check=True)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while words not in (rows := shown(tmux)):
                if not rows or time.monotonic() > deadline:
                    sys.exit(f"{words!r} did not appear in one row\n{rows}")
                time.sleep(0.1)
            time.sleep(LONGER_S)
            return shown(tmux, "-e", "-N")  # colours, and the coloured blanks at the ends of rows
        finally:
            subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)


def shown(tmux: list[str], *options: str) -> str:
    """The rows of the terminal; nothing once the program in it has ended."""
    capture = [*tmux, "capture-pane", "-p", *options]
    return subprocess.run(capture, capture_output=True, text=True, check=False).stdout


def to_svg(rows: str) -> str:
    """The rows as a drawing that names no font to fetch."""
    console = Console(record=True, file=io.StringIO(), width=WIDTH, color_system="truecolor", force_terminal=True)
    console.print(Text.from_ansi(rows.rstrip("\n"), no_wrap=True))
    svg = console.export_svg(title=COMMAND.partition(" --channels")[0], unique_id="dashboard")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
