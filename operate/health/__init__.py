"""The health of a deployed environment: observations, and the findings of `make smoke`."""
