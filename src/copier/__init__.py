"""The Cloud Run service: what landed, and what an older system left, under archive names.

Imports: feed, telemetry.
Imported by: bench, operate.
"""
