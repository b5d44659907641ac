"""BigQuery tables and views of a feed, and their description for people."""
