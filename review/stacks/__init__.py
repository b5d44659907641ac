"""Compare two synthesized stacks (`cdk.tf.json`) as a plan, without credentials and without a state.

Imports: data, findings, google_cloud, plan, secrets.
"""
