"""One file a DVC stage: read, compute, write. `python -m footfall.stages.NAME` runs one below the current directory."""
