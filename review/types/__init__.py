"""Render the changes of a resource type: one module per type or group of types.

A module says in TYPES which types it renders, as names or patterns. It has one or both of these pure functions, found
by their names:

- `findings(change, context)`: what the change of one resource does;
- `grants(change, values, context)`: who may do what because of it, before or after (`values`);
  `review.access.grant_changes` compares both sides.

With REPORTS_DELETION a module reports deletions and replacements of its types by itself; those of other types are
reported by `review.data.actions`. So a type is added in one file, with its test.

Imports: code, data, findings, google_cloud, plan.
"""
