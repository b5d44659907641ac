"""The service router: HTTP requests to functions and services, and the URLs at which they listen.

`router` sends the requests of Pub/Sub and Cloud Scheduler; `ingress` accepts those of other clients. Both admit only
callers that may invoke the service.

Imports: environment, http, iam_proxy, processes.
Imported by: runs, services, workloads.
"""
