"""Dependencies that are pinned: the audit of their known vulnerabilities, and the digests of base images.

Imports nothing of delivery but its errors. `make audit` and `make pin` run its modules.
"""
