"""BigQuery: datasets and tables in the emulator, and the fields that the emulator does not store.

https://cloud.google.com/bigquery/docs/reference/rest
"""

from collections.abc import Iterator
from typing import Any

from local.control_plane.apis.storage import EmulatorProxy
from local.control_plane.policies import policy_routes
from local.control_plane.resource_types import compute_etag
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json, ResourceCollection
from local.http.rest import ApiError, ApiRequest, ApiResponse, Route
from local.services.bigquery import BigQuery
from local.services.iam import Policies

ROOT = "/bigquery/v2/"
DATASET = ROOT + "projects/{project}/datasets/{dataset}"
TABLE = DATASET + "/tables/{table}"
ACCESS = [
    {"role": "WRITER", "specialGroup": "projectWriters"},
    {"role": "OWNER", "specialGroup": "projectOwners"},
    {"role": "READER", "specialGroup": "projectReaders"},
]


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API; all requests but those for datasets and tables go to the emulator."""
    emulator = EmulatorProxy(environment.bigquery_url)
    yield from _dataset_routes(environment)
    yield from _table_routes(environment)
    yield Route("*", ROOT + "{rest*}", emulator)
    yield Route("*", "/upload/bigquery/v2/{rest*}", emulator)


def _dataset_routes(environment: LocalEnvironment) -> Iterator[Route]:
    datasets, tables = _datasets(environment), _tables(environment)

    def create(request: ApiRequest, params: dict[str, str]) -> Json:
        wanted = request.json
        name = wanted.get("datasetReference", {}).get("datasetId", "")
        if datasets.find(name):
            raise ApiError(409, f"Already Exists: Dataset {params['project']}:{name}")
        return _put_dataset(environment, datasets, {"access": ACCESS} | wanted)

    def update(request: ApiRequest, params: dict[str, str]) -> Json:
        merged = datasets.get(params["dataset"]) | request.json
        return _put_dataset(environment, datasets, {k: v for k, v in merged.items() if v is not None})

    def delete(request: ApiRequest, params: dict[str, str]) -> ApiResponse:
        dataset = params["dataset"]
        datasets.get(dataset)
        inside = [each for each in tables.names() if each.startswith(f"{dataset}.")]
        if inside and request.query.get("deleteContents") != "true":
            raise ApiError(
                400, f"Dataset {params['project']}:{dataset} is still in use: it holds {inside[0]}"
            )
        environment.service(BigQuery).call("DELETE", f"{request.path}?deleteContents=true", {})
        for each in inside:
            tables.delete(each)
        datasets.delete(dataset)
        environment.service(Policies).delete(request.path.removeprefix(ROOT))
        return ApiResponse(204, b"")

    yield Route("POST", ROOT + "projects/{project}/datasets", create)
    yield Route("GET", DATASET, lambda _, params: _dataset_response(datasets.get(params["dataset"])))
    yield Route("PUT", DATASET, update)
    yield Route("PATCH", DATASET, update)
    yield Route("DELETE", DATASET, delete)


def _table_routes(environment: LocalEnvironment) -> Iterator[Route]:
    tables = _tables(environment)

    def find(params: dict[str, str]) -> Json:
        return tables.get("{dataset}.{table}".format_map(params))

    def create(request: ApiRequest, params: dict[str, str]) -> Json:
        wanted = request.json
        name = wanted.get("tableReference", {}).get("tableId", "")
        if tables.find(f"{params['dataset']}.{name}"):
            raise ApiError(409, f"Already Exists: Table {params['project']}:{params['dataset']}.{name}")
        _datasets(environment).get(params["dataset"])
        return _put_table(environment, tables, params, wanted)

    def update(request: ApiRequest, params: dict[str, str]) -> Json:
        before = find(params)
        wanted = request.json if request.method == "PUT" else before | request.json
        return _put_table(environment, tables, params, {k: v for k, v in wanted.items() if v is not None})

    def delete(request: ApiRequest, params: dict[str, str]) -> ApiResponse:
        find(params)
        environment.service(BigQuery).call("DELETE", request.path, {})
        tables.delete("{dataset}.{table}".format_map(params))
        environment.service(Policies).delete(request.path.removeprefix(ROOT))
        return ApiResponse(204, b"")

    yield from policy_routes(environment, TABLE, TABLE.removeprefix(ROOT), find)
    yield Route("POST", DATASET + "/tables", create)
    yield Route("GET", TABLE, lambda _, params: _table_response(find(params)))
    yield Route("PUT", TABLE, update)
    yield Route("PATCH", TABLE, update)
    yield Route("DELETE", TABLE, delete)


def _datasets(environment: LocalEnvironment) -> ResourceCollection:
    return environment.collection("rest", "bigquery.datasets")


def _tables(environment: LocalEnvironment) -> ResourceCollection:
    return environment.collection("rest", "bigquery.tables")


def _put_dataset(environment: LocalEnvironment, datasets: ResourceCollection, wanted: Json) -> Json:
    reference = wanted["datasetReference"]
    project, name = reference.get("projectId", environment.project), reference["datasetId"]
    environment.service(BigQuery).put_dataset(
        project,
        {key: wanted[key] for key in ("datasetReference", "location", "description") if key in wanted},
    )
    known = {"datasetReference": {"projectId": project, "datasetId": name}}
    complete: Json = {"location": "US"} | wanted | known
    # The provider sends the dataset's ID in each entry; Google ignores unknown fields.
    complete["access"] = [
        {key: value for key, value in entry.items() if key != "datasetId"} for entry in complete["access"]
    ]
    environment.service(Policies).replace(
        f"projects/{project}/datasets/{name}", _bindings(complete["access"])
    )
    return _dataset_response(datasets.put(name, complete))


def _bindings(access: list[dict[str, Any]]) -> list[Json]:
    """Return the bindings of a dataset's access list, for its entries with principals."""
    found: dict[str, list[str]] = {}
    for entry in access:
        if "userByEmail" in entry and "role" in entry:
            kind = "serviceAccount" if entry["userByEmail"].endswith("gserviceaccount.com") else "user"
            found.setdefault(entry["role"], []).append(f"{kind}:{entry['userByEmail']}")
        elif "iamMember" in entry:
            found.setdefault(entry["role"], []).append(entry["iamMember"])
    return [{"role": role, "members": sorted(members)} for role, members in sorted(found.items())]


def _dataset_response(dataset: Json) -> Json:
    reference = dataset["datasetReference"]
    return dataset | {
        "kind": "bigquery#dataset",
        "id": f"{reference['projectId']}:{reference['datasetId']}",
        "etag": compute_etag(dataset),
        "creationTime": "1767225600000",
        "lastModifiedTime": "1767225600000",
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{reference['projectId']}"
        f"/datasets/{reference['datasetId']}",
        "type": "DEFAULT",
    }


def _put_table(
    environment: LocalEnvironment, tables: ResourceCollection, params: dict[str, str], wanted: Json
) -> Json:
    project, dataset = params["project"], params["dataset"]
    name = wanted.get("tableReference", {}).get("tableId") or params["table"]
    reference = {"projectId": project, "datasetId": dataset, "tableId": name}
    held = tables.find(f"{dataset}.{name}") or {}
    complete = {key: value for key, value in wanted.items() if value not in (None, "")}
    complete["tableReference"] = reference
    if "view" not in complete:
        complete["schema"] = complete.get("schema") or held.get("schema") or {"fields": []}
    written = environment.service(BigQuery).put_table(
        project,
        dataset,
        {
            key: complete[key]
            for key in ("tableReference", "schema", "view", "timePartitioning", "clustering", "description")
            if key in complete and not (key == "schema" and "view" in complete)
        },
    )
    if "view" in complete:
        complete["schema"] = written.get("schema", {"fields": []})
    return _table_response(tables.put(f"{dataset}.{name}", complete))


def _table_response(table: Json) -> Json:
    reference = table["tableReference"]
    project, dataset, name = reference["projectId"], reference["datasetId"], reference["tableId"]
    return table | {
        "kind": "bigquery#table",
        "id": f"{project}:{dataset}.{name}",
        "etag": compute_etag(table),
        "creationTime": "1767225600000",
        "lastModifiedTime": "1767225600000",
        "numBytes": "0",
        "numRows": "0",
        "location": "US",
        "type": "VIEW" if "view" in table else "TABLE",
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{name}",
    }
