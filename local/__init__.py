"""Run a synthesized stack in a local environment, without a cloud account, from its Terraform JSON alone.

`runs` has the commands; `services` creates the resources; `data_plane` has the emulators of Cloud Storage and BigQuery;
`iam_proxy` enforces roles; `control_plane` responds to Terraform.

Imports: cdk, commands, dashboard, feed, gbfs.
Imported by: bench, operate.
"""

from commands.interrupts import exit_quietly_on_interrupt

exit_quietly_on_interrupt()
