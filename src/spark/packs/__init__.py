"""Packs of GBFS systems, decoded into Parquet files of station_status, polls and changes."""
