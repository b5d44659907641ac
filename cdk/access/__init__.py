"""The IAM grants of a synthesized stack, and findings that no stack may have.

Both are read from the Terraform JSON alone, so that they cover every resource, whichever construct declared it.
"""

from cdk.access.findings import Finding, list_findings
from cdk.access.grants import AccessError, Grant, list_grants

__all__ = ["AccessError", "Finding", "Grant", "list_findings", "list_grants"]
