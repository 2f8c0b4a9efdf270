"""The network: encoders, context and fusion, and the bundles that carry them."""
