"""What must be created again when the resource that holds it is replaced.

The replacement keeps its name, so Terraform sees no difference in what refers to it by that name. Google Cloud deletes
the grants, tables and objects with the old resource, and without more they would be missing until a second deploy.
"""

from cdktf import TerraformResource, TerraformResourceLifecycle


def replaced_with(*holders: TerraformResource) -> TerraformResourceLifecycle:
    """Return the lifecycle of a resource that is replaced whenever one of `holders` is."""
    return TerraformResourceLifecycle(replace_triggered_by=replacement_triggers(*holders))


def replacement_triggers(*holders: TerraformResource) -> list[str]:
    """Return references that change when a holder is replaced, and not when it is updated in place.

    `id` is known while a resource stays, and unknown in a plan that replaces it. A reference to the whole resource
    would also be triggered by a label or a new column.
    """
    return [f"{holder.terraform_resource_type}.{holder.friendly_unique_id}.id" for holder in holders]
