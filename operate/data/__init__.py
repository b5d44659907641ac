"""The data of an environment: queries, exports, backfills, and rebuilds of days by the batch."""
