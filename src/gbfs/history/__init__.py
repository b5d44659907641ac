"""What is kept for ever: changes of stations' availability, and of systems and stations themselves."""
