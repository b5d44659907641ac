"""Find the code that a change runs: files of archives, environment variables, scripts, provisioners.

Imports: findings, google_cloud, plan, secrets.
"""
