"""Public GBFS systems: the catalogue, its downloaded copy, and a few built-in systems."""
