"""Terraform's states of an environment: their bucket, their content, and the locks on them."""
