"""The synthesized stack: run `stacks.py`, read `cdk.tf.json`, evaluate expressions, create resources in order.

Imports: environment, errors, processes.
Imported by: __main__, control_plane, runs, services.
"""
