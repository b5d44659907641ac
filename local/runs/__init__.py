"""The commands: `make demo`, `make up` and `make down`, and the empty project that `TO=here` deploys into.

`running_stack` starts everything that a run needs; `pipeline` does what follows the ticks; `report` counts.

Imports: control_plane, data_plane, environment, errors, feeds, http, iam_proxy, processes, service_router, services,
stack, workloads.
Imported by: __main__.
"""
