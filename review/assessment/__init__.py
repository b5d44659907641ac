"""Assess a plan: collect all findings, group and order them, apply rules, list what was not examined.

Imports: access, code, cost, data, findings, google_cloud, plan, types.
"""
