"""From a pull request to a deployed environment, on GitHub: what was reviewed is what is applied.

github: the REST client, the run of a workflow, comments
plan: a reviewed plan, its digest and its acknowledgements
dependencies: `make audit` and `make pin`
documentation: `make docs` and the references
publishing, approval, drift: one module for each step; pushes compares two reviews

The modules import the sub-packages, never the other way round.

Imports: cdk, commands, review, telemetry.
Imported by: nothing.
"""

from commands.interrupts import exit_quietly_on_interrupt

exit_quietly_on_interrupt()
