"""Deploy, operate and destroy an environment: `python -m operate`.

Imports: cdk, commands, copier, feed, gbfs, local, review, spark.
Imported by: nothing.
"""

from commands.interrupts import exit_quietly_on_interrupt

exit_quietly_on_interrupt()
