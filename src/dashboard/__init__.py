"""The Cloud Run service that shows the data: a page, and the files that it reads.

Imports: feed, telemetry.
Imported by: local.
"""
