"""The live tracker: source -> segmenter -> recogniser and encoders -> conversation -> sinks."""

from emotrack.models import reporting as reporting  # before anything else
