"""GitHub's side of a step: the REST client, the workflow's run and its pull request, the comments that the steps keep.

Imports nothing of delivery but its errors.
"""
