"""IAM: grants, service accounts and their keys, custom roles, workload identity pools."""
