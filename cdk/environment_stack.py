"""What the stacks of an environment share: provider, labels, state, and how their elements are named."""

from collections.abc import Mapping

import jsii
from cdktf import GcsBackend, TerraformElement, TerraformStack
from cdktf_cdktf_provider_google.provider import GoogleProvider
from constructs import Construct, Node

from cdk.settings import Settings


class EnvironmentStack(TerraformStack):
    """A stack in the environment's project; its state has a prefix of its own in the state bucket.

    `adopt` holds the import IDs, by address, of what is in the project already though no state knows it.
    """

    def __init__(self, scope: Construct, settings: Settings, name: str, adopt: Mapping[str, str]) -> None:
        super().__init__(scope, name)
        GoogleProvider(
            self,
            "google",
            project=settings.project,
            region=settings.region,
            default_labels=settings.resource_labels,
        )
        GcsBackend(self, bucket=settings.bucket("tfstate"), prefix=name)
        if adopt:
            self.add_override("import", [{"to": address, "id": id_} for address, id_ in adopt.items()])

    @jsii.member(jsii_name="allocateLogicalId")
    def _allocate_logical_id(self, tf_element: TerraformElement | Node) -> str:
        """Name an element by its path, `storage_landing`, where the default adds a hash to read past."""
        node = tf_element if isinstance(tf_element, Node) else tf_element.node
        return "_".join(node.path.split("/")[1:])
