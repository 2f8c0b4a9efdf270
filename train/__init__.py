"""Training, from corpora and raw speech to a bundle, and how good a bundle is."""
