"""Races against named peers and the physical floor: `python -m benchmarks NAME`. Timing is measured here and never asserted in tests."""
