"""The stack's own code: download and unpack an artifact, start it as a process, run Spark jobs.

Imports: environment, errors, iam_proxy, processes, service_router.
Imported by: control_plane, runs, services.
"""
