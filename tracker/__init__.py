"""The live tracker: source -> segmenter -> recogniser and encoders -> conversation -> sinks."""
