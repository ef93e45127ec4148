"""Who races: a file each, in a process of its own with the Python of its own environment, started by `clock`; where steps are timed, by `turns`."""
