"""The service router: HTTP calls to functions and services, and the URLs at which these listen.

`router` sends the calls of Pub/Sub and Cloud Scheduler, `ingress` accepts the calls of everybody else. Both let only
those through who may invoke the service.

Imports: environment, http, iam_proxy, processes.
Imported by: runs, services, workloads.
"""
