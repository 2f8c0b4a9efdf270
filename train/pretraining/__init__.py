"""From raw speech to a pre-trained text encoder and speech encoder, at any scale.

    audio files -> transcribe -> turns/*.parquet -> annotate -> labels/*.parquet -> pretrain   (text encoder)
                                 turns/*.parquet -------------------------------> care       (speech encoder)

``rows`` says what the tables hold, ``table`` keeps them on disk, ``work`` does what is still to be done, one batch
after the other in a plain loop or on a Ray cluster.
"""
