"""What all tests share."""

from __future__ import annotations

import os

# Turns are scored one at a time: more threads than one only wait for each other, and very long on a busy machine.
# Set before torch is imported, here and in the processes that the tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
