"""The Cloud Run service of the dashboard: the page, and the data files that it loads.

Imports: feed, telemetry.
Imported by: local.
"""
