"""VADER (Hutto and Gilbert 2014), a lexicon with rules: the annotator that needs no server and no model."""

from __future__ import annotations

from collections.abc import Sequence

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from emotrack.train.pretraining.annotating.annotators import Verdict


class Vader:
    """Judges by the compound score; a score between the thresholds is neutral."""

    def __init__(self, threshold: float) -> None:
        self._analyzer = SentimentIntensityAnalyzer()  # reads its lexicon
        self._threshold = threshold

    def judge(self, texts: Sequence[str]) -> list[Verdict]:
        """One verdict a text; none is set aside."""
        return [Verdict(self._sentiment(text)) for text in texts]

    def _sentiment(self, text: str) -> str:
        compound = self._analyzer.polarity_scores(text)["compound"]
        if compound >= self._threshold:
            return "positive"
        return "negative" if compound <= -self._threshold else "neutral"
