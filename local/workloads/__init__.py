"""The stack's own code: unpack an artifact, start it as a process, run its Spark jobs.

Imports: environment, errors, iam_proxy, processes, service_router.
Imported by: control_plane, runs, services.
"""
