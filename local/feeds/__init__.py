"""The feeds' APIs of a local run: recorded responses, a generated day, the evolving sample, simulated GBFS systems.

Imports: errors, processes.
Imported by: __main__, runs.
"""
