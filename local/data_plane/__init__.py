"""The data plane emulators: Cloud Storage (fake-gcs-server) and BigQuery (local-bigquery).

`emulators` starts both; `bigquery_emulator` is the program of the second one; `warehouse` reads its tables for `make
sql` and `make export`.

Imports: errors, processes.
Imported by: control_plane, environment, iam_proxy, runs, services.
"""
