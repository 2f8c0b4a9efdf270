"""``python -m emotrack`` is the command ``emotrack``."""

import sys

from emotrack.command_line import main

sys.exit(main())
