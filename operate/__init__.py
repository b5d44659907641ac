"""From an empty Google Cloud project to a deployed environment and back: `python -m operate`.

Imports: cdk, commands, copier, feed, gbfs, local, review, spark.
Imported by: nothing.
"""

from commands.interrupts import end_quietly_until_main

end_quietly_until_main()
