"""Training: from corpora and raw speech to a bundle, and how good a bundle is.

    corpora       readers of public corpora in their official layouts
    data          dialogues, clips and conversations as a network is given them; augmentation, pairing
    learning      the one training loop, losses, optimisers
    running       a run that is killed goes on; several GPUs
    recipes       all choices of a run, as TOML
    stages        stages I to III, one after the other or jointly, up to the bundle and its card
    evaluation    metrics, and a bundle scored on a corpus
    adapting      the last layer, fitted to a room's corrections
    pretraining   encoders trained from raw speech and annotated sentences
    figures       runs compared over seeds, as tables and drawings
    command_line  `emotrack train` and `emotrack evaluate`

How `mini` is trained stands in README.md, every run with its figures in experiments.md.
"""
