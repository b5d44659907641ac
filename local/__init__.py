"""Runs a synthesized stack on this machine: its Terraform JSON is the only description that is read.

Imports: cdk, commands, dashboard, feed, gbfs.
Imported by: bench, operate.
"""

from commands.interrupts import exit_quietly_on_interrupt

exit_quietly_on_interrupt()
