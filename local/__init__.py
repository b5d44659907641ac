"""Runs a synthesized stack on this machine: its Terraform JSON is the only description that is read."""
