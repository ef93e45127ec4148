"""Arithmetic on sorted arrays: vocabulary, sequences, metrics, baselines, fusion, promotion. Opens no file, reads no clock."""
