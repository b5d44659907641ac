"""What `make` runs: every option of every target, checked before anything else happens. Standard library only."""

from commands.interrupts import end_quietly_until_main

end_quietly_until_main()
