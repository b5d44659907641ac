"""The control plane emulator: it responds to the REST requests with which Terraform's google provider deploys a stack.

`apis` has one module per Google API. They create resources by `local.services`, so a stack that Terraform deploys
runs like one that is read from `cdk.tf.json`.

Imports: data_plane, environment, errors, http, iam_proxy, processes, services, stack, workloads.
Imported by: runs.
"""
