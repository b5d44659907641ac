"""Child processes of a local run: start, supervise and stop them, reserve loopback ports, survive a full disk.

Imports: errors.
Imported by: control_plane, data_plane, environment, feeds, http, iam_proxy, runs, service_router, services, stack,
workloads.
"""
