"""The local environment: one emulated Google Cloud project with its resources, clock and metadata server.

Imports: data_plane, errors, processes.
Imported by: control_plane, http, iam_proxy, runs, service_router, services, stack, workloads.
"""
