"""Hide secrets: find them by form, name or mark, and mask them in every text that the review shows.

Imports: findings.
"""
