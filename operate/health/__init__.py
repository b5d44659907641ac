"""Whether a deployed environment works: what is observed of it, and how `make smoke` judges it."""
