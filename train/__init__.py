"""Training, from corpora and raw speech to a bundle, and how good a bundle is."""

from emotrack.models import reporting as reporting  # before anything else
