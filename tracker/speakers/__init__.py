"""Who speaks: windows of the running sound -> when each voice is active -> parts of turns -> speakers."""
