"""A fake of Terraform's google provider 6.50.0, for hosts that cannot download the real one.

Terraform runs this program as a provider (plugin protocol 6). It has the real one's schema and calls no API: a resource
is a JSON document in a folder, and computed attributes are placeholders. It knows which arguments replace a resource,
and that an existing resource cannot be created again; it refuses nothing else.

    python provider.py SCHEMAS FOLDER
"""

# ruff: noqa: N802 - the protocol's names

import hashlib
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tf.provider
from tf.gen import tfplugin_pb2 as pb
from tf.runner import run_provider
from tf.types import Unknown
from tf.utils import Diagnostics, read_dynamic_value, to_dynamic_value

State = dict[str, Any]
Block = dict[str, Any]
Filling = Callable[[str, Any], Any]  # name and type of an attribute → its value

# Arguments whose change replaces the resource, as plans of the real provider 6.50.0 show; "*" is any argument.
# Every change of a table's schema is an update in place, unlike with the real provider.
REPLACES = {
    "google_artifact_registry_repository": {"repository_id", "format", "location"},
    "google_bigquery_dataset": {"dataset_id", "location"},
    "google_bigquery_table": {"dataset_id", "table_id"},
    "google_cloud_run_v2_service": {"name", "location"},
    "google_cloud_scheduler_job": {"name", "region"},
    "google_cloudfunctions2_function": {"name", "location"},
    "google_compute_firewall": {"name", "direction"},
    "google_compute_network": {"name", "description", "auto_create_subnetworks"},
    "google_compute_subnetwork": {"name", "network", "region"},
    "google_dataproc_workflow_template": {"*"},
    "google_project_iam_custom_role": {"role_id"},
    "google_pubsub_subscription": {"name", "topic", "filter", "enable_message_ordering"},
    "google_pubsub_topic": {"name"},
    "google_service_account": {"account_id"},
    "google_storage_bucket": {"name", "location"},
    "google_storage_bucket_object": {"bucket", "name", "source", "content", "content_type", "metadata"},
}
# Arguments that identify a resource whose type has no known import ID.
IDENTITY = (
    *("project", "location", "bucket", "dataset_id", "table_id", "topic", "subscription", "service"),
    *("repository", "service_account_id", "name", "role", "member", "condition"),
)
# Types that can be created again without an error.
OVERWRITABLE = ("_iam_member", "_bucket_object")
PROVIDER_DEFAULTS = ("project", "region")  # arguments with a default in the provider's configuration


class FakeProvider(tf.provider.ProviderServicer):  # type: ignore[misc]
    """Handles Terraform's calls; the package implements handshake and messages."""

    def __init__(self, schemas: dict[str, Any], folder: Path) -> None:
        super().__init__(None)
        self._schemas, self._ids, self._folder = schemas, schemas["ids"], folder
        self._configuration: State = {}

    def GetProviderSchema(self, _request: Any, _context: Any) -> Any:
        """Return the schema that was read from the bindings."""
        resources, data_sources = (
            {name: pb.Schema(block=_make_schema_block(block)) for name, block in self._schemas[kind].items()}
            for kind in ("resources", "data_sources")
        )
        return pb.GetProviderSchema.Response(
            provider=pb.Schema(block=_make_schema_block(self._schemas["provider"])),
            resource_schemas=resources,
            data_source_schemas=data_sources,
        )

    # Terraform itself validates the configuration against the schema.
    ValidateProviderConfig = staticmethod(lambda _request, _context: pb.ValidateProviderConfig.Response())
    ValidateResourceConfig = staticmethod(lambda _request, _context: pb.ValidateResourceConfig.Response())
    ValidateDataResourceConfig = staticmethod(
        lambda _request, _context: pb.ValidateDataResourceConfig.Response()
    )

    def ConfigureProvider(self, request: Any, _context: Any) -> Any:
        """Store the provider's configuration: project, region and labels."""
        self._configuration = read_dynamic_value(request.config)
        return pb.ConfigureProvider.Response()

    def UpgradeResourceState(self, request: Any, _context: Any) -> Any:
        """Nothing to upgrade."""
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ReadDataSource(self, request: Any, _context: Any) -> Any:
        """Return a placeholder for each value that Google Cloud would compute."""
        kind, known = request.type_name, self._with_defaults(read_dynamic_value(request.config))
        state = _fill_computed(self._schemas["data_sources"][kind], known, _make_placeholder(kind))
        return pb.ReadDataSource.Response(state=to_dynamic_value(state))

    def ImportResourceState(self, request: Any, _context: Any) -> Any:
        """Return the document that has this import ID."""
        kind, file = request.type_name, self._find_file(request.type_name, {"id": request.id})
        if not file.exists():
            return pb.ImportResourceState.Response()
        state = to_dynamic_value(json.loads(file.read_text()))
        found = pb.ImportResourceState.ImportedResource(type_name=kind, state=state)
        return pb.ImportResourceState.Response(imported_resources=[found])

    def ReadResource(self, request: Any, _context: Any) -> Any:
        """Read the document; without one the resource does not exist."""
        file = self._find_file(request.type_name, read_dynamic_value(request.current_state))
        found = json.loads(file.read_text()) if file.exists() else None
        return pb.ReadResource.Response(new_state=to_dynamic_value(found))

    def PlanResourceChange(self, request: Any, _context: Any) -> Any:
        """Mark values that only Google Cloud knows as unknown, and report which changes replace the resource."""
        prior = read_dynamic_value(request.prior_state)
        proposed = read_dynamic_value(request.proposed_new_state)
        if proposed is None:  # a destroy
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        planned = self._with_defaults(proposed)
        if planned == prior:
            return pb.PlanResourceChange.Response(planned_state=request.prior_state)
        planned = _fill_computed(self._schemas["resources"][request.type_name], planned, lambda *_: Unknown)
        changed = [name for name in planned if prior and planned[name] != prior[name]]
        grant = request.type_name.endswith("_iam_member")
        replacing = {"*"} if grant else REPLACES.get(request.type_name, set())
        return pb.PlanResourceChange.Response(
            planned_state=to_dynamic_value(planned),
            requires_replace=[
                pb.AttributePath(steps=[pb.AttributePath.Step(attribute_name=name)])
                for name in changed
                if replacing & {"*", name}
            ],
        )

    def ApplyResourceChange(self, request: Any, _context: Any) -> Any:
        """Write the document, or remove it."""
        kind, problems = request.type_name, Diagnostics()
        prior, planned = read_dynamic_value(request.prior_state), read_dynamic_value(request.planned_state)
        file = self._find_file(kind, planned or prior)
        if prior is None and file.exists() and not kind.endswith(OVERWRITABLE):
            problems.add_error(f"Error 409: {kind} already exists", f"the fake provider has it in {file}")
            return pb.ApplyResourceChange.Response(diagnostics=problems.to_pb())
        if planned is None:
            file.unlink(missing_ok=True)
            return pb.ApplyResourceChange.Response(new_state=request.planned_state)
        filling = _make_placeholder(self._compute_identity(kind, planned))
        state = _fill_computed(self._schemas["resources"][kind], planned, filling)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{threading.get_ident()}")
        temporary.write_text(json.dumps(state, indent=1))
        temporary.replace(file)
        return pb.ApplyResourceChange.Response(new_state=to_dynamic_value(state))

    def _with_defaults(self, state: State) -> State:
        """Return the state with the provider's project and region, and with its labels merged into the resource's."""
        own: State = {
            name: state[name] or self._configuration[name] for name in PROVIDER_DEFAULTS if name in state
        }
        if "effective_labels" in state and state.get("labels") is not Unknown:
            labels = (self._configuration["default_labels"] or {}) | (state["labels"] or {})
            own |= {"effective_labels": labels, "terraform_labels": labels}
        return state | own

    def _find_file(self, kind: str, state: State) -> Path:
        name = state["id"] if isinstance(state["id"], str) else self._compute_identity(kind, state)
        return self._folder / kind / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"

    def _compute_identity(self, kind: str, state: State) -> str:
        if kind in self._ids:
            return str(self._ids[kind].format_map(state))
        identifiers = [state[name] for name in IDENTITY if state.get(name) and state[name] is not Unknown]
        return "/".join(each if isinstance(each, str) else json.dumps(each) for each in identifiers)


def _make_schema_block(block: Block) -> Any:
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name,
                type=json.dumps(each["type"]).encode(),
                **{flag: each[flag] for flag in ("computed", "optional", "required")},
            )
            for name, each in block["attributes"].items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=_make_schema_block(each["block"]),
                nesting=pb.Schema.NestedBlock.NestingMode.Value(each["nesting"].upper()),
                min_items=int(each["required"]),
            )
            for name, each in block["blocks"].items()
        ],
    )


def _fill_computed(block: Block, state: State, filling: Filling) -> State:
    """Return a state in which `filling` has computed each unknown value from its name and type."""
    filled = dict(state)
    for name, each in block["attributes"].items():
        if each["computed"] and (state[name] is None or state[name] is Unknown):
            filled[name] = filling(name, each["type"])
    for name, each in block["blocks"].items():
        if isinstance(inner := state[name], list):
            filled[name] = [_fill_computed(each["block"], item, filling) for item in inner]
    return filled


def _make_placeholder(identity: str) -> Filling:
    values = {"number": 0, "bool": False, "map": {}, "object": {}, "list": [], "set": []}

    def fill(name: str, kind: Any) -> Any:
        if kind == "string":
            return identity if name == "id" else f"{name} of {identity}"
        return values[kind if isinstance(kind, str) else kind[0]]

    return fill


def main(schemas: Path, folder: Path) -> None:
    """Run the provider until Terraform ends it."""
    tf.provider.ProviderServicer = lambda _provider: FakeProvider(json.loads(schemas.read_text()), folder)
    run_provider(None, [str(folder)])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
