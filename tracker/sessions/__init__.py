"""Saved sessions: what becomes of a conversation after it was tracked."""
