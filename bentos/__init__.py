"""The HTTP service: BentoML runs it, a pure ASGI application answers, `footfall` computes. Nothing else in the project speaks HTTP."""
