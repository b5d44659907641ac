"""From a pull request to a deployed environment, on GitHub: what was reviewed is what is applied.

Imports: cdk, commands, review, telemetry.
Imported by: nothing.
"""

from commands.interrupts import end_quietly_until_main

end_quietly_until_main()
