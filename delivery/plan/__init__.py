"""A reviewed plan: the outcome of its review, the digest of what it applies, the acknowledgements that it needs.

Imports nothing of delivery but its errors, and calls no API.
"""
