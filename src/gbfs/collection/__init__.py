"""The collection of many systems: shards, the packs of their responses, and the rows of these."""
