"""What `make` runs: every option of every target, checked before anything else happens. Standard library only."""
