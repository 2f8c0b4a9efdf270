"""The network: encoders, context and fusion, and the bundles that carry them."""

from emotrack.models import reporting as reporting  # before anything else
