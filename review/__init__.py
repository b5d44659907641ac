"""What a Terraform plan does to data, access, code, cost and service, told to the reviewer of a pull request.

Imports: nothing.
Imported by: delivery, operate.
"""
