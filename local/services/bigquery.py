"""BigQuery: datasets, tables and views in local-bigquery. Existing tables get new columns and keep their rows."""

import json
from typing import Any

import requests

from local.data_plane.emulators import open_session
from local.environment.environment import LocalEnvironment
from local.errors import LocalError, ServiceError
from local.stack.applying import Attributes, Handler
from local.stack.arguments import as_rest, get_block, get_blocks, report_unsupported_arguments
from local.stack.loading import Resource

TIMEOUT_S = 60
DATASET_SUPPORTED = {"dataset_id", "location", "friendly_name", "delete_contents_on_destroy"}
DATASET_UNSUPPORTED = {
    "access": "access entries grant no access: roles come from IAM bindings only",
    "default_table_expiration_ms": "tables do not expire",
    "default_partition_expiration_ms": "partitions do not expire",
    "max_time_travel_hours": "there is no time travel",
    "storage_billing_model": "nothing is billed",
    "is_case_insensitive": "names are compared as the emulator compares them",
    "default_encryption_configuration": "data is not encrypted",
}
TABLE_SUPPORTED = {
    "dataset_id",
    "table_id",
    "schema",
    "view",
    "time_partitioning",
    "clustering",
    "friendly_name",
    "deletion_protection",
    "require_partition_filter",
}
TABLE_UNSUPPORTED = {
    "expiration_time": "tables do not expire",
    "max_staleness": "views are never stale",
    "encryption_configuration": "data is not encrypted",
    "materialized_view": "it is a logical view",
    "table_constraints": "constraints, which BigQuery does not enforce, are not stored",
}
TYPES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}


class BigQuery:
    """Datasets and tables as in the REST API, stored by the emulator."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._url = environment.bigquery_url
        self._session = open_session()

    def put_dataset(self, project: str, resource: dict[str, Any]) -> dict[str, Any]:
        """Create or update a dataset; its tables stay. Raises ServiceError."""
        base = f"/bigquery/v2/projects/{project}/datasets"
        name = resource["datasetReference"]["datasetId"]
        if self.find(f"{base}/{name}") is None:
            return self.call("POST", base, resource)
        return self.call("PATCH", f"{base}/{name}", resource)

    def put_table(self, project: str, dataset: str, resource: dict[str, Any]) -> dict[str, Any]:
        """Create a table or view, or add columns to an existing one; its rows stay.

        Raises TableChangedError where the change requires a new table, and ServiceError.
        """
        base = f"/bigquery/v2/projects/{project}/datasets/{dataset}/tables"
        name = resource["tableReference"]["tableId"]
        found = self.find(f"{base}/{name}")
        if found is None:
            return self.call("POST", base, resource)
        if "view" in resource:
            return self._replace_view(base, name, found, resource)
        fields = grow_schema(
            f"{dataset}.{name}", found["schema"].get("fields", []), resource["schema"]["fields"]
        )
        wanted = resource | {"schema": {"fields": fields}}
        _check_partition(f"{dataset}.{name}", found, wanted)
        held = self.call("PATCH", f"{base}/{name}", wanted)
        if parse_columns(held["schema"]["fields"]) == parse_columns(fields):
            return held
        self._add_columns(project, dataset, name, wanted)
        return self.call("PATCH", f"{base}/{name}", wanted)

    def query(self, project: str, sql: str) -> list[list[Any]]:
        """Run SQL and return the first page of rows, each a list of values as in the REST API."""
        path = f"/bigquery/v2/projects/{project}/queries"
        response = self.call("POST", path, {"query": sql, "useLegacySql": False})
        return [[cell["v"] for cell in row["f"]] for row in response.get("rows", [])]

    def _replace_view(
        self, base: str, name: str, found: dict[str, Any], resource: dict[str, Any]
    ) -> dict[str, Any]:
        """Replace a view's query: the emulator ignores it in an update."""
        if found.get("view", {}).get("query") == resource["view"]["query"]:
            return self.call("PATCH", f"{base}/{name}", resource)
        self._check_response(
            "DELETE", f"{base}/{name}", self._session.delete(self._url + f"{base}/{name}", timeout=TIMEOUT_S)
        )
        return self.call("POST", base, resource)

    def _add_columns(self, project: str, dataset: str, name: str, resource: dict[str, Any]) -> None:
        """Add columns inside records, which the emulator ignores in an update of a table.

        The rows are copied to a table with the wanted schema; the last statement replaces the table as a whole, so
        that no row is lost wherever this ends.
        """
        base = f"/bigquery/v2/projects/{project}/datasets/{dataset}/tables"
        wider = f"{name}__wider"
        table, copy = f"`{project}.{dataset}.{name}`", f"`{project}.{dataset}.{wider}`"
        self.query(project, f"DROP TABLE IF EXISTS {copy}")
        reference = resource["tableReference"] | {"tableId": wider}
        self.call("POST", base, resource | {"tableReference": reference})
        held = self.call("GET", f"{base}/{name}", {})["schema"]["fields"]
        names = ", ".join(f"`{field['name']}`" for field in held)
        self.query(project, f"INSERT INTO {copy} ({names}) SELECT {names} FROM {table}")  # noqa: S608
        self.query(project, f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {copy}")  # noqa: S608
        self.query(project, f"DROP TABLE {copy}")

    def find(self, path: str) -> dict[str, Any] | None:
        """Return the resource at a path of the REST API, or None where it does not exist."""
        response = self._session.get(self._url + path, timeout=TIMEOUT_S)
        if response.status_code == 404:
            return None
        return self._check_response("GET", path, response)

    def call(self, method: str, path: str, resource: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the REST API and return the response. Raises ServiceError."""
        return self._check_response(
            method, path, self._session.request(method, self._url + path, json=resource, timeout=TIMEOUT_S)
        )

    @staticmethod
    def _check_response(method: str, path: str, response: requests.Response) -> dict[str, Any]:
        if not response.ok:
            raise ServiceError(f"{method} {path}", response.status_code, response.text)
        return dict(response.json()) if response.content else {}


class TableChangedError(LocalError):
    """The stack's table requires that an existing one is replaced, and its rows lost.

    What to do: remove the local data as the message says, or keep the old columns of the sample.
    """

    def __init__(self, table: str, what: str, found: object, expected: object) -> None:
        self.table, self.what, self.found, self.expected = table, what, found, expected
        super().__init__(
            f"table {table} exists with {what} {found}, but the stack declares {expected}: "
            "only a new table can have that. Take the change back, or delete the environment's folder "
            "below .local to start anew"
        )


def grow_schema(
    table: str, existing: list[dict[str, Any]], wanted: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the columns of an existing table after the wanted ones are added.

    Columns keep their order and are never dropped; new ones come last, as in BigQuery. Raises TableChangedError for
    another type or a stricter mode.
    """
    by_name = {field["name"].lower(): field for field in wanted}
    fields = []
    for field in existing:
        new = by_name.pop(field["name"].lower(), None)
        if new is None:
            fields.append(field)
            continue
        where = f"{table}.{field['name']}"
        _check_same(where, "type", _type(field), _type(new))
        if (_mode(field), _mode(new)) != ("REQUIRED", "NULLABLE"):
            _check_same(where, "mode", _mode(field), _mode(new))
        inner = grow_schema(where, field.get("fields", []), new.get("fields", []))
        fields.append(new | {"name": field["name"]} | ({"fields": inner} if inner else {}))
    return fields + list(by_name.values())


def parse_columns(fields: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Return the names of columns, each with those nested in it."""
    return [(field["name"], parse_columns(field.get("fields", []))) for field in fields]


def _type(field: dict[str, Any]) -> str:
    name = str(field["type"]).upper()
    return TYPES.get(name, name)


def _mode(field: dict[str, Any]) -> str:
    return str(field.get("mode") or "NULLABLE").upper()


def _check_same(table: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise TableChangedError(table, what, found, expected)


def _check_partition(table: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    def partition(resource: dict[str, Any]) -> tuple[Any, Any]:
        partitioning = resource.get("timePartitioning") or {}
        return partitioning.get("type"), partitioning.get("field")

    _check_same(table, "partitioning", partition(found), partition(wanted))


def dataset(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_bigquery_dataset."""
    report_unsupported_arguments(
        environment, "google_bigquery_dataset", arguments, DATASET_SUPPORTED, DATASET_UNSUPPORTED
    )
    project, name = arguments.get("project", environment.project), arguments["dataset_id"]
    kept = ("location", "friendly_name", "description", "labels")
    resource: dict[str, Any] = as_rest({key: arguments[key] for key in kept if key in arguments})
    resource["datasetReference"] = {"projectId": project, "datasetId": name}
    held = environment.service(BigQuery).put_dataset(project, resource)
    computed = {
        "id": f"projects/{project}/datasets/{name}",
        "self_link": f"https://bigquery.googleapis.com/bigquery/v2/projects/{project}/datasets/{name}",
        "project": project,
        "etag": held["etag"],
        "creation_time": int(held["creationTime"]),
    }
    return {"location": "US"} | arguments | computed


def dataset_access(
    resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment
) -> Attributes:
    """google_bigquery_dataset_access that authorizes views: whoever may read a view reads what the view reads.

    Raises LocalError for an entry that names a principal.
    """
    authorized = next((kind for kind in ("dataset", "view") if get_blocks(arguments, kind)), None)
    if authorized is None:
        raise LocalError(
            f"{resource.address} grants a role by the dataset's access list, which the local run does not enforce: "
            "declare it as google_bigquery_dataset_iam_member"
        )
    project = arguments.get("project", environment.project)
    name = f"projects/{project}/datasets/{arguments['dataset_id']}"
    return {"project": project, "api_updated_member": False} | arguments | {"id": name}


def table(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_bigquery_table: a table, possibly partitioned and clustered, or a view."""
    report_unsupported_arguments(
        environment, "google_bigquery_table", arguments, TABLE_SUPPORTED, TABLE_UNSUPPORTED
    )
    partitioning = get_block(arguments, "time_partitioning")
    unsupported = {"expiration_ms": "partitions do not expire"}
    report_unsupported_arguments(
        environment, f"{resource.type}.time_partitioning", partitioning, {"type", "field"}, unsupported
    )
    project, name = arguments.get("project", environment.project), arguments["table_id"]
    held = environment.service(BigQuery).put_table(
        project, arguments["dataset_id"], table_as_rest(project, arguments)
    )
    identity = f"projects/{project}/datasets/{arguments['dataset_id']}/tables/{name}"
    computed = {
        "id": identity,
        "self_link": f"https://bigquery.googleapis.com/bigquery/v2/{identity}",
        "project": project,
        "type": held["type"],
        "etag": held["etag"],
        "location": held.get("location", environment.region),
        "creation_time": int(held["creationTime"]),
    }
    return {"deletion_protection": True} | arguments | computed


def table_as_rest(project: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the table's REST resource: https://cloud.google.com/bigquery/docs/reference/rest/v2/tables."""
    kept = ("friendly_name", "description", "labels", "require_partition_filter")
    resource: dict[str, Any] = as_rest({key: arguments[key] for key in kept if key in arguments})
    resource["tableReference"] = {
        "projectId": project,
        "datasetId": arguments["dataset_id"],
        "tableId": arguments["table_id"],
    }
    for view in get_blocks(arguments, "view") + get_blocks(arguments, "materialized_view"):
        resource["view"] = {"query": view["query"], "useLegacySql": view.get("use_legacy_sql", False)}
        return resource
    resource["schema"] = {"fields": json.loads(arguments.get("schema", "[]"))}
    if "time_partitioning" in arguments:
        partitioning = get_block(arguments, "time_partitioning")
        resource["timePartitioning"] = {
            key: partitioning[key] for key in ("type", "field") if key in partitioning
        }
    if "clustering" in arguments:
        resource["clustering"] = {"fields": arguments["clustering"]}
    return resource


HANDLERS: dict[str, Handler] = {
    "google_bigquery_dataset": dataset,
    "google_bigquery_dataset_access": dataset_access,
    "google_bigquery_table": table,
}
