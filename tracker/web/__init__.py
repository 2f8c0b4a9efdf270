"""A page of what is tracked, for browsers, and a WebSocket for programs: the extra ``web``."""
