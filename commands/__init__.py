"""What `make` runs: checks every option of every target before anything else happens. Standard library only.

Imports: nothing.
Imported by: delivery, local, operate, stacks.py.
"""

from commands.interrupts import exit_quietly_on_interrupt

exit_quietly_on_interrupt()
