"""Render a review: answers to the five questions of a reviewer, as Markdown, as plain text or as JSON.

Imports: assessment, findings, plan.
"""
