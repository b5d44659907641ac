"""Constructs to operate an environment: schedules, alerts, service level objective, budget, outputs."""
