"""The IAM proxy: it allows or denies each request of a workload to Cloud Storage and BigQuery, as IAM would.

`access` decides, by the roles that the stack grants and by `roles.toml`, which lists the permissions of each role;
`storage` and `bigquery` know the permissions that each method requires; `enforcement` listens and forwards.

Imports: data_plane, environment, errors, http, processes.
Imported by: control_plane, runs, service_router, services, workloads.
"""
