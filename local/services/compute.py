"""Compute Engine networks: stored only, because all traffic of the local run is on loopback."""

from local.stack.applying import Handler
from local.stack.arguments import make_store_only_handler

UNSUPPORTED = "google_compute_…: stored only; workloads use the host's network, the internet included"
LINK = {"self_link": "https://www.googleapis.com/compute/v1/{id}"}


def _make_handler(collection: str, scope: str) -> Handler:
    name = f"projects/{{project}}/{scope}/{collection}/{{name}}"
    return make_store_only_handler(
        "compute", collection, name=name, computed_attributes=LINK, unsupported=UNSUPPORTED
    )


HANDLERS: dict[str, Handler] = {
    "google_compute_network": _make_handler("networks", "global"),
    "google_compute_subnetwork": _make_handler("subnetworks", "regions/{region}"),
    "google_compute_firewall": _make_handler("firewalls", "global"),
    "google_compute_route": _make_handler("routes", "global"),
    "google_compute_router": _make_handler("routers", "regions/{region}"),
}
