"""From a pull request to a deployed environment, on GitHub: what was reviewed is what is applied.

Imports: cdk, commands, review, telemetry.
Imported by: nothing.
"""

from commands.interrupts import exit_quietly_on_interrupt

exit_quietly_on_interrupt()
