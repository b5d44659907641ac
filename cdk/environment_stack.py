"""What the stacks of an environment share: provider, labels, state backend and logical IDs."""

from collections.abc import Mapping

import jsii
from cdktf import GcsBackend, TerraformElement, TerraformStack
from cdktf_cdktf_provider_google.provider import GoogleProvider
from constructs import Construct, Node

from cdk.settings import Settings


class EnvironmentStack(TerraformStack):
    """A stack in the environment's project, with a state prefix of its own in the state bucket.

    `adopt` has the import IDs, by address, of resources that exist in the project and are in no state.
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
        """Return the logical ID of an element: its path, `storage_landing`, without cdktf's default hash."""
        node = tf_element if isinstance(tf_element, Node) else tf_element.node
        return "_".join(node.path.split("/")[1:])
