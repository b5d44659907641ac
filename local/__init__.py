"""Runs a synthesized stack on this machine: its Terraform JSON is the only description that is read.

Imports: cdk, commands, dashboard, feed, gbfs.
Imported by: bench, operate.
"""

from commands.interrupts import end_quietly_until_main

end_quietly_until_main()
