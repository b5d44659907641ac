"""Review a Terraform plan for Google Cloud: what it does to data, access, code, cost and service.

- `plan`, `stacks`: read a plan, or compare two synthesized stacks as one; `secrets` hides what is secret in both
- `data`, `access`, `code`, `cost`: decide what is lost, whose access widens, which code runs, what a month costs
- `types`: what a change of one resource type means; `google_cloud`: facts about types, roles and addresses
- `assessment`: collect, group and order the `findings`; `report`: render them, as a comment for a pull request

Imports: nothing.
Imported by: delivery, operate.
"""
