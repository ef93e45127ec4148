"""Which releases are open in a worker: the champion, and shadow and canary beside it."""
