"""The commands: `make demo`, `make up` and `make down`, and the empty project that `TO=local` deploys into.

`local_run` starts everything that a run needs; `pipeline` runs the sweep and the batch after the ticks; `report` counts
what arrived.

Imports: control_plane, data_plane, environment, errors, feeds, http, iam_proxy, processes, service_router, services,
stack, workloads.
Imported by: __main__.
"""
