"""Databases: Cloud SQL, and types whose data can be lost by a change in place."""
