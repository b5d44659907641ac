"""The Cloud Function: a tick → one answer of the API → one object and its rows, each exactly once.

Imports: feed, telemetry.
Imported by: bench, gbfs_collector.
"""
