"""Estimate a month before and after a change: how often things run, what each costs, by the prices of a region.

Imports: code, findings, google_cloud, plan, types.
"""
