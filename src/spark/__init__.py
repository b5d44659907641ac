"""The batch: whole UTC days of the archive → rows → BigQuery, on Spark. Python 3.11 on.

Imports: feed, gbfs, telemetry.
Imported by: bench, operate.
"""
