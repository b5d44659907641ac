"""HTTP for the emulated services: requests and routes of REST APIs, a streaming reverse proxy, injected faults.

Imports: environment, errors, processes.
Imported by: __main__, control_plane, iam_proxy, runs, service_router.
"""
