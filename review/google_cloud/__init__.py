"""Facts about Google Cloud that no plan holds: resource types, IAM roles and members, sets of addresses and ports.

Imports: findings.
"""
