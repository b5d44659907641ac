"""Replace a resource when its parent is replaced.

The replacement has the same name, so Terraform sees no change in resources that refer to it by name. Google Cloud
deletes grants, tables and objects with the former parent; without a trigger, a second deploy would be needed.
"""

from cdktf import TerraformResource, TerraformResourceLifecycle


def replaced_with(*holders: TerraformResource) -> TerraformResourceLifecycle:
    """Return the lifecycle of a resource that is replaced whenever one of `holders` is."""
    return TerraformResourceLifecycle(replace_triggered_by=replacement_triggers(*holders))


def replacement_triggers(*holders: TerraformResource) -> list[str]:
    """Return references that change when a holder is replaced, but not when it is updated in place.

    `id` is known for an existing resource, and unknown in a plan that replaces it. A reference to the whole resource
    would also change with a label or a new column.
    """
    return [f"{holder.terraform_resource_type}.{holder.friendly_unique_id}.id" for holder in holders]
