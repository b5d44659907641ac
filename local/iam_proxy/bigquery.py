"""The permissions that requests to BigQuery's REST API require: of methods, of jobs, and of the tables in queries.

https://cloud.google.com/bigquery/docs/access-control#bq-permissions,
https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#required_permissions
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from local.http.request import InvalidRequestError, Request
from local.iam_proxy.denials import RequiredPermission
from local.iam_proxy.permissions import RequestPermissions, UnknownMethodError
from local.iam_proxy.storage import bucket_resource, object_resource

MODULE = "local/iam_proxy/bigquery.py"
PathParameters = dict[str, str]
Json = dict[str, Any]
Rule = Callable[[Request, PathParameters], Iterable[RequiredPermission]]


def required_permissions(
    request: Request, owner_of: Callable[[str, str], str | None], identity: str
) -> RequestPermissions:
    """Return the permissions that a request requires. Raises UnknownMethodError, InvalidRequestError.

    `owner_of` returns the owner of a job (project, ID). The owner may read and cancel it without a role; a request
    for a job without an owner is allowed, and gets a 404.
    """
    for methods, pattern, rule in METHODS:
        if request.method in methods and (match := pattern.fullmatch(request.path)):
            params = {name: unquote(value) for name, value in match.groupdict().items()}
            if "job" in params and owner_of(params["project"], params["job"]) in (identity, None):
                return RequestPermissions()
            return RequestPermissions(tuple(dict.fromkeys(rule(request, params))))
    raise UnknownMethodError(
        f"{MODULE} does not know which permission {request.method} {request.path} requires: add it there"
    )


def job_permissions(project: str, configuration: Json) -> Iterator[RequiredPermission]:
    """Yield the permissions that a job requires, first the one to create jobs."""
    yield RequiredPermission("bigquery.jobs.create", f"projects/{project}")
    kinds = [kind for kind in JOBS if kind in configuration]
    if len(kinds) != 1:
        raise InvalidRequestError(
            f"expected a job with one configuration of {', '.join(JOBS)}, found {sorted(kinds)}"
        )
    try:
        yield from JOBS[kinds[0]](project, configuration[kinds[0]])
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError(f"the configuration of the {kinds[0]} job is invalid: {error!r}") from error


def query_permissions(project: str, sql: str, dataset: str = "") -> Iterator[RequiredPermission]:
    """Yield the permissions that a GoogleSQL script requires on its tables.

    `dataset` (`project.dataset`) is the default dataset of table names. A view requires a permission on itself only,
    not on what it reads. Raises UnknownMethodError for an unsupported kind of statement, InvalidRequestError for a
    syntax error.
    """
    import sqlglot  # noqa: PLC0415 - a tenth of a second, which a run without a query need not pay
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    try:
        statements = sqlglot.parse(sql, dialect="bigquery")
    except SqlglotError as error:
        raise InvalidRequestError(f"Syntax error: {error}") from error
    for statement in statements:
        if statement is not None:
            yield from _statement_permissions(project, dataset, statement)


def _statement_permissions(project: str, dataset: str, statement: Any) -> Iterator[RequiredPermission]:
    from sqlglot import exp  # noqa: PLC0415

    kind = type(statement).__name__
    if kind in ("Transaction", "Commit", "Rollback"):
        return
    target = statement.find(exp.Table) if kind in WRITES else None
    if kind in WRITES:
        of_schema = str(statement.args.get("kind") or "").upper() == "SCHEMA"
        name = _qualify_name(project, dataset, target)
        permissions = WRITES[kind](statement)
        for permission in permissions:
            yield _table_permission(permission, name, of_schema=of_schema)
    elif not isinstance(statement, exp.Query):
        raise UnknownMethodError(
            f"{MODULE} does not know which permission a statement {kind.upper()} requires: add it there"
        )
    own = {each.alias_or_name for each in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        is_own = len(table.parts) == 1 and table.name in own
        if table is not target and not is_own and not _is_unnested_column(table):
            yield _table_permission("bigquery.tables.getData", _qualify_name(project, dataset, table))


def _is_unnested_column(table: Any) -> bool:
    """Whether the "table" is an array to unnest, as in FROM t, t.list: it begins with a table of an enclosing FROM."""
    from sqlglot import exp  # noqa: PLC0415

    first = table.parts[0].name
    select = table.find_ancestor(exp.Select)
    while len(table.parts) > 1 and select is not None:
        sources = [select.args.get("from_"), *(select.args.get("joins") or ())]
        named = (each.this for each in sources if each is not None)
        if any(each is not table and each.alias_or_name == first for each in named):
            return True
        select = select.find_ancestor(exp.Select)
    return False


# Statement → permissions on its target table; those on the tables that it reads are added.
WRITES: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "Insert": lambda _: ("bigquery.tables.updateData",),
    "Delete": lambda _: ("bigquery.tables.getData", "bigquery.tables.updateData"),
    "Update": lambda _: ("bigquery.tables.getData", "bigquery.tables.updateData"),
    "Merge": lambda _: ("bigquery.tables.getData", "bigquery.tables.updateData"),
    "TruncateTable": lambda _: ("bigquery.tables.updateData",),
    "Create": lambda statement: (
        ("bigquery.tables.create", "bigquery.tables.update", "bigquery.tables.updateData")
        if statement.args.get("replace")
        else ("bigquery.tables.create",)
    ),
    "Drop": lambda _: ("bigquery.tables.delete",),
    "Alter": lambda _: ("bigquery.tables.get", "bigquery.tables.update"),
}


def _table_permission(
    permission: str, name: tuple[str, str, str], *, of_schema: bool = False
) -> RequiredPermission:
    """Return a permission on a table; the one to create a table is on its dataset, to create a dataset on its
    project.
    """
    project, dataset, table = name
    if of_schema:
        # In CREATE SCHEMA the dataset's name is in the place of a table's.
        permission = permission.replace("bigquery.tables.", "bigquery.datasets.")
        resource = f"projects/{dataset or project}"
        return RequiredPermission(
            permission, resource if permission.endswith(".create") else f"{resource}/datasets/{table}"
        )
    resource = f"projects/{project}/datasets/{dataset}"
    if table.upper() == "INFORMATION_SCHEMA":
        return RequiredPermission("bigquery.tables.list", resource)
    return RequiredPermission(
        permission, resource if permission.endswith(".create") else f"{resource}/tables/{table}"
    )


def _qualify_name(project: str, dataset: str, table: Any) -> tuple[str, str, str]:
    """Return project, dataset and table of a name in SQL."""
    parts = [part for each in table.parts for part in each.name.split(".")]
    upper = [part.upper() for part in parts]
    if "INFORMATION_SCHEMA" in upper:
        parts = parts[: upper.index("INFORMATION_SCHEMA") + 1]
    default_project, _, default_dataset = dataset.rpartition(".")
    defaults = [default_project or project, default_dataset]
    full = [*defaults[: max(0, 3 - len(parts))], *parts][-3:]
    return full[0], full[1], full[2]


def _load_permissions(project: str, load: Json) -> Iterator[RequiredPermission]:
    yield from _destination_permissions(project, load["destinationTable"], load)
    for uri in load.get("sourceUris", ()):
        bucket, _, name = str(uri).removeprefix("gs://").partition("/")
        yield RequiredPermission("storage.buckets.get", bucket_resource(bucket))
        if "*" in name:
            yield RequiredPermission("storage.objects.list", bucket_resource(bucket))
        yield RequiredPermission("storage.objects.get", object_resource(bucket, name))


def _query_job_permissions(project: str, query: Json) -> Iterator[RequiredPermission]:
    if query.get("useLegacySql", False) is True:
        raise UnknownMethodError(f"{MODULE} supports GoogleSQL only: set useLegacySql to false")
    default = query.get("defaultDataset") or {}
    dataset = f"{default.get('projectId', project)}.{default['datasetId']}" if default else ""
    if query.get("destinationTable"):
        yield from _destination_permissions(project, query["destinationTable"], query)
    yield from query_permissions(project, str(query.get("query", "")), dataset)


def _copy_permissions(project: str, copy: Json) -> Iterator[RequiredPermission]:
    for source in copy.get("sourceTables") or [copy["sourceTable"]]:
        yield RequiredPermission("bigquery.tables.getData", _table_resource(project, source))
    yield from _destination_permissions(project, copy["destinationTable"], copy)


def _extract_permissions(project: str, extract: Json) -> Iterator[RequiredPermission]:
    for permission in ("bigquery.tables.export", "bigquery.tables.getData"):
        yield RequiredPermission(permission, _table_resource(project, extract["sourceTable"]))
    for uri in extract.get("destinationUris") or [extract["destinationUri"]]:
        bucket, _, name = str(uri).removeprefix("gs://").partition("/")
        yield RequiredPermission("storage.objects.create", object_resource(bucket, name))
        yield RequiredPermission("storage.objects.delete", object_resource(bucket, name))


JOBS: dict[str, Callable[[str, Json], Iterator[RequiredPermission]]] = {
    "load": _load_permissions,
    "query": _query_job_permissions,
    "copy": _copy_permissions,
    "extract": _extract_permissions,
}


def _destination_permissions(project: str, table: Json, job: Json) -> Iterator[RequiredPermission]:
    """Yield the permissions to write a job's destination table; creating it is required unless CREATE_NEVER."""
    name = _table_resource(project, table)
    if job.get("createDisposition", "CREATE_IF_NEEDED") != "CREATE_NEVER":
        yield RequiredPermission("bigquery.tables.create", name.partition("/tables/")[0])
    yield RequiredPermission("bigquery.tables.updateData", name)
    yield RequiredPermission("bigquery.tables.update", name)


def _table_resource(project: str, reference: Json) -> str:
    dataset, table = reference["datasetId"], reference["tableId"]
    return f"projects/{reference.get('projectId', project)}/datasets/{dataset}/tables/{table}"


def _insert_job_permissions(request: Request, params: PathParameters) -> Iterator[RequiredPermission]:
    if "upload_id" in request.query:
        return iter(())  # the upload session was started with the job's configuration
    configuration = request.resource.get("configuration")
    if not isinstance(configuration, dict):
        raise InvalidRequestError("the job has no configuration")
    return job_permissions(params["project"], configuration)


def _run_query_permissions(request: Request, params: PathParameters) -> Iterator[RequiredPermission]:
    return job_permissions(params["project"], {"query": request.resource})


def _needing(permission: str, on: str) -> Rule:
    return lambda _request, params: (RequiredPermission(permission, on.format_map(params)),)


_PROJECT = "projects/{project}"
_DATASET = _PROJECT + "/datasets/{dataset}"
_TABLE = _DATASET + "/tables/{table}"
_JOB = _PROJECT + "/jobs/{job}"


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/bigquery/v2/" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


METHODS: tuple[tuple[tuple[str, ...], re.Pattern[str], Rule], ...] = (
    (
        ("POST", "PUT"),
        re.compile(r"(?:/resumable)?/upload/bigquery/v2/projects/(?P<project>[^/]+)/jobs"),
        _insert_job_permissions,
    ),
    *(
        (tuple(methods.split()), _pattern(path), rule)
        for methods, path, rule in (
            ("POST", _PROJECT + "/jobs", _insert_job_permissions),
            ("POST", _PROJECT + "/queries", _run_query_permissions),
            ("GET", _JOB, _needing("bigquery.jobs.get", _PROJECT)),
            ("GET", _PROJECT + "/queries/{job}", _needing("bigquery.jobs.get", _PROJECT)),
            ("POST", _JOB + "/cancel", _needing("bigquery.jobs.update", _PROJECT)),
            ("DELETE", _JOB + "/delete", _needing("bigquery.jobs.delete", _PROJECT)),
            ("GET", _PROJECT + "/jobs", _needing("bigquery.jobs.list", _PROJECT)),
            ("GET", _TABLE, _needing("bigquery.tables.get", _TABLE)),
            ("POST", _DATASET + "/tables", _needing("bigquery.tables.create", _DATASET)),
            ("PATCH PUT", _TABLE, _needing("bigquery.tables.update", _TABLE)),
            ("DELETE", _TABLE, _needing("bigquery.tables.delete", _TABLE)),
            ("GET", _TABLE + "/data", _needing("bigquery.tables.getData", _TABLE)),
            ("POST", _TABLE + "/insertAll", _needing("bigquery.tables.updateData", _TABLE)),
            ("GET", _DATASET + "/tables", _needing("bigquery.tables.list", _DATASET)),
            ("GET", _DATASET, _needing("bigquery.datasets.get", _DATASET)),
            ("PATCH PUT", _DATASET, _needing("bigquery.datasets.update", _DATASET)),
            ("DELETE", _DATASET, _needing("bigquery.datasets.delete", _DATASET)),
            ("GET", _PROJECT + "/datasets", _needing("bigquery.datasets.get", _PROJECT)),
            ("POST", _PROJECT + "/datasets", _needing("bigquery.datasets.create", _PROJECT)),
        )
    ),
)
