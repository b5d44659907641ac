"""What stands between the workloads and the emulators: each call is let through, or refused as Google refuses it.

`calls` tells what a request is, `storage` and `bigquery` what it needs, `proxy` passes it on.
"""
