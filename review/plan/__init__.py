"""Read a plan: the changes of resources, secrets hidden, with their values, names, references and artifacts.

Imports: findings, google_cloud, secrets.
"""
