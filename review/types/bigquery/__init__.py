"""BigQuery: datasets, tables, policy tags, row access policies."""
