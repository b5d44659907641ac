"""The Cloud Function: one tick → one response of the API → one raw object and its rows, each stored exactly once.

Imports: feed, telemetry.
Imported by: bench, gbfs_collector.
"""
