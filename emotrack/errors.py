"""What can go wrong for a user, each with one clear line and an exit code: the root of every error of the package."""

from __future__ import annotations


class EmotrackError(Exception):
    """A failure that the user can understand; its message is the one line that is shown (exit code 1)."""

    exit_code = 1


class UsageError(EmotrackError):
    """The command was called with something that cannot be (exit code 2)."""

    exit_code = 2
