"""Decide whose access widens or narrows: grants before and after; policies, keys and arguments that restrict.

Imports: data, findings, google_cloud, plan, types.
"""
