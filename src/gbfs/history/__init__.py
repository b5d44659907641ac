"""The long history: changes of the availability of stations, and of systems and stations themselves."""
