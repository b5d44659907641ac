"""The files below /data: built from query results, cached, and encoded."""
