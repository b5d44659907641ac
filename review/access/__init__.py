"""Decide whose access widens or narrows: grants before and after; policies, keys and arguments that restrict.

Imports: findings, google_cloud, plan, types.
"""
