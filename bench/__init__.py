"""Benchmarks: every figure with a baseline, both measured alternately in the same run, and their ratio.

Imports: cdk, collector, copier, feed, gbfs, gbfs_collector, local, spark, telemetry.
Imported by: nothing.
"""
