"""Benchmarks of services on the emulators: a tick, a sweep of the copier, the IAM proxy."""
