"""Collects a shard of GBFS systems: requests many files at once and keeps all responses of a minute in one pack.

Imports: collector, feed, gbfs, telemetry.
Imported by: bench.
"""
