"""Decide which data a change loses: deleted and replaced resources, columns of BigQuery tables, retention.

Imports: findings, google_cloud, plan.
"""
