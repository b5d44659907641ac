"""Every Google Cloud resource of an environment, declared in Python: one construct per file.

`settings` reads an environment's file and `artifacts` packages the code that is deployed. The constructs are in
`resources` (what workloads share), `workloads` (what runs) and `operations` (schedules, alerts, budget, outputs), each
importing only what stands before it. `stack` composes them, and `access` reads the grants of the result.

Imports: feed, gbfs.
Imported by: bench, delivery, local, operate, stacks.py.
"""
