"""Artifact Registry: repositories are kept, and hold no image, because none is built here."""

from local.stack.applying import Handler
from local.stack.arguments import storing_handler

HANDLERS: dict[str, Handler] = {
    "google_artifact_registry_repository": storing_handler(
        "artifactregistry",
        "repositories",
        name="projects/{project}/locations/{location}/repositories/{repository_id}",
        more={
            "name": "{repository_id}",
            "registry_uri": "{location}-docker.pkg.dev/{project}/{repository_id}",
        },
        unsupported="google_artifact_registry_repository: kept, but it holds no images and nothing is cleaned up: "
        "services run from their source archives here",
    ),
}
