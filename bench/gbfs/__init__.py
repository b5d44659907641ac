"""Benchmarks of the collection of 1,000 GBFS systems, and what it costs."""
