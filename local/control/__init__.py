"""The REST calls with which Terraform's google provider makes a stack, answered by this machine.

One module per Google service. What it keeps and starts is what `local.services` keeps and starts, so that both
ways in give the same system.
"""
