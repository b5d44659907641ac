"""Benchmarks: every figure beside its baseline, measured in turn in the same run, printed as a ratio."""
