"""Artifact Registry: repositories are stored but hold no images, because the local run builds none."""

from local.stack.applying import Handler
from local.stack.arguments import make_store_only_handler

HANDLERS: dict[str, Handler] = {
    "google_artifact_registry_repository": make_store_only_handler(
        "artifactregistry",
        "repositories",
        name="projects/{project}/locations/{location}/repositories/{repository_id}",
        computed_attributes={
            "name": "{repository_id}",
            "registry_uri": "{location}-docker.pkg.dev/{project}/{repository_id}",
        },
        unsupported="google_artifact_registry_repository: stored only; it has no images: "
        "services run from their source archives",
    ),
}
