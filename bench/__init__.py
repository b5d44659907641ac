"""Benchmarks: every figure beside its baseline, measured in turn in the same run, printed as a ratio.

Imports: cdk, collector, copier, feed, gbfs, gbfs_collector, local, spark, telemetry.
Imported by: nothing.
"""
