"""One JSON value: its BigQuery type, and its conversion to a native Python value."""
