"""Who races in `benchmarks.data`: one file each, started by `clock` in a process of its own, with the Python of its own environment."""
