"""Archived responses of a feed, decoded into Parquet files of its rows."""
