"""Child processes of the local environment: start, supervise and end them; loopback ports; a full disk.

Imports: errors.
Imported by: control_plane, data_plane, environment, feeds, http, iam_proxy, runs, service_router, services, stack,
workloads.
"""
