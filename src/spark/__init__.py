"""The batch: rebuild whole UTC days of BigQuery tables from the archive, on Spark. Python ≥ 3.11.

Imports: feed, gbfs, telemetry.
Imported by: bench, operate.
"""
