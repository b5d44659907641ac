"""Every Google Cloud resource of an environment: settings, packaging, one construct per file.

`cdk.stack` composes the constructs; `stacks.py` makes one stack per environment.

Imports: feed, gbfs.
Imported by: bench, delivery, local, operate, stacks.py.
"""
