"""Ibis expressions over contract tables: cleaning, interactions, vocabulary, sequences, targets.

An expression names no engine; `engine` runs it on embedded DuckDB. Inside a frame a moment is int64 microseconds.
No floating-point aggregates, and every output has a total order: equal inputs give equal bytes with any number of threads.
"""
