"""Upload artifacts to the artifacts bucket: asset and object, both named by their content."""

import os
from pathlib import Path

from cdktf import AssetType, TerraformAsset, TerraformResourceLifecycle
from cdktf_cdktf_provider_google.storage_bucket_object import StorageBucketObject
from constructs import Construct

from cdk.artifacts.packaging import Artifact, compute_digest
from cdk.resources.storage import Storage


class Upload(Construct):
    """Uploads files; a changed file is a new object, and the former one is deleted once nothing refers to it."""

    def __init__(self, scope: Construct, storage: Storage, cache: Path) -> None:
        super().__init__(scope, "upload")
        self._storage = storage
        self._cache = cache

    def artifact(self, id_: str, artifact: Artifact) -> StorageBucketObject:
        """Upload an artifact."""
        return self.content(id_, artifact.file_name, artifact.content)

    def content(self, id_: str, file_name: str, content: bytes) -> StorageBucketObject:
        """Upload content under a name that contains its digest."""
        path = self._cache / file_name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            part.write_bytes(content)
            part.replace(path)
        return self.file(id_, path)

    def file(self, id_: str, path: Path) -> StorageBucketObject:
        """Upload a file whose name contains its digest."""
        asset = TerraformAsset(
            self,
            f"{id_}_asset",
            path=str(path),
            type=AssetType.FILE,
            asset_hash=compute_digest(path.name.encode())[:32],
        )
        # Name and source path change together: an object replaced under its own name would be deleted.
        return StorageBucketObject(
            self,
            id_,
            bucket=self._storage.artifacts.name,
            name=f"{id_}/{path.name}",
            source=asset.path,
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
