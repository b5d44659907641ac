"""The permissions that methods of BigQuery's REST API, jobs and SQL require."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.http.request import InvalidRequestError, Request
from local.iam_proxy.bigquery import job_permissions, query_permissions, required_permissions
from local.iam_proxy.denials import RequiredPermission
from local.iam_proxy.permissions import UnknownMethodError

pytestmark = pytest.mark.unit

P, D, T = "projects/p", "projects/p/datasets/d", "projects/p/datasets/d/tables/t"
S = "projects/p/datasets/d/tables/s"
JOBS = ("bigquery.jobs.create", P)
BIGQUERY = "bigquery.tables."


def make_request(
    method: str, target: str, body: Any = None, owner: str | None = None, identity: str = "me"
) -> list[tuple[str, str]]:
    request = Request(
        method, target, {"content-type": "application/json"}, lambda: json.dumps(body or {}).encode()
    )
    found = required_permissions(request, lambda _project, _job: owner, identity)
    return [(need.permission, need.resource) for need in found.required]


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("GET", f"{P}/datasets/d/tables/t?prettyPrint=false", [(BIGQUERY + "get", T)]),
        ("POST", f"{P}/datasets/d/tables", [(BIGQUERY + "create", D)]),
        ("PATCH", f"{P}/datasets/d/tables/t", [(BIGQUERY + "update", T)]),
        ("DELETE", f"{P}/datasets/d/tables/t", [(BIGQUERY + "delete", T)]),
        ("GET", f"{P}/datasets/d/tables/t/data", [(BIGQUERY + "getData", T)]),
        ("POST", f"{P}/datasets/d/tables/t/insertAll", [(BIGQUERY + "updateData", T)]),
        ("GET", f"{P}/datasets/d/tables", [(BIGQUERY + "list", D)]),
        ("GET", D, [("bigquery.datasets.get", D)]),
        ("DELETE", D, [("bigquery.datasets.delete", D)]),
        ("POST", f"{P}/datasets", [("bigquery.datasets.create", P)]),
        ("GET", f"{P}/jobs", [("bigquery.jobs.list", P)]),
    ],
)
def test_a_methods_required_permissions(method: str, path: str, needs: list[tuple[str, str]]) -> None:
    assert make_request(method, f"/bigquery/v2/{path}") == needs


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "jobs/j?location=EU", "bigquery.jobs.get"),
        ("GET", "queries/j", "bigquery.jobs.get"),
        ("POST", "jobs/j/cancel", "bigquery.jobs.update"),
        ("DELETE", "jobs/j/delete", "bigquery.jobs.delete"),
    ],
)
def test_the_owner_of_a_job_needs_no_role(method: str, path: str, permission: str) -> None:
    target = f"/bigquery/v2/{P}/{path}"
    assert make_request(method, target, owner="me") == []
    assert make_request(method, target, owner=None) == []  # nobody's: BigQuery says that it is not there
    assert make_request(method, target, owner="somebody else") == [(permission, P)]


TABLE = {"projectId": "p", "datasetId": "d", "tableId": "t"}
NEVER = {"destinationTable": TABLE, "createDisposition": "CREATE_NEVER"}
WRITES = [(BIGQUERY + "updateData", T), (BIGQUERY + "update", T)]


@pytest.mark.parametrize(
    ("configuration", "needs"),
    [
        ({"load": NEVER}, WRITES),
        ({"load": {"destinationTable": TABLE}}, [(BIGQUERY + "create", D), *WRITES]),
        (
            {"load": NEVER | {"sourceUris": ["gs://b/x/1.parquet", "gs://b/y/*.parquet"]}},
            [
                *WRITES,
                ("storage.buckets.get", "projects/_/buckets/b"),
                ("storage.objects.get", "projects/_/buckets/b/objects/x/1.parquet"),
                ("storage.objects.list", "projects/_/buckets/b"),
                ("storage.objects.get", "projects/_/buckets/b/objects/y/*.parquet"),
            ],
        ),
        ({"query": {"query": "SELECT 1"}}, []),
        (
            {"query": {"query": "SELECT * FROM s", "defaultDataset": {"datasetId": "d"}}},
            [(BIGQUERY + "getData", S)],
        ),
        (
            {"query": NEVER | {"query": "SELECT * FROM d.s"}},
            [*WRITES, (BIGQUERY + "getData", S)],
        ),
        (
            {"copy": NEVER | {"sourceTable": {"datasetId": "d", "tableId": "s"}}},
            [(BIGQUERY + "getData", S), *WRITES],
        ),
        (
            {"extract": {"sourceTable": TABLE, "destinationUris": ["gs://b/x"]}},
            [
                (BIGQUERY + "export", T),
                (BIGQUERY + "getData", T),
                ("storage.objects.create", "projects/_/buckets/b/objects/x"),
                ("storage.objects.delete", "projects/_/buckets/b/objects/x"),
            ],
        ),
    ],
)
@pytest.mark.parametrize(
    "path", ["/bigquery/v2/projects/p/jobs", "/upload/bigquery/v2/projects/p/jobs?uploadType=multipart"]
)
def test_a_jobs_required_permissions(
    path: str, configuration: dict[str, Any], needs: list[tuple[str, str]]
) -> None:
    assert make_request("POST", path, {"configuration": configuration}) == list(dict.fromkeys([JOBS, *needs]))


def test_later_requests_of_an_upload_need_no_permission() -> None:
    assert make_request("PUT", "/upload/bigquery/v2/projects/p/jobs?uploadType=resumable&upload_id=1") == []


GET, PUT = BIGQUERY + "getData", BIGQUERY + "updateData"


@pytest.mark.parametrize(
    ("sql", "needs"),
    [
        ("SELECT 1", []),
        ("SELECT * FROM `p.d.t`", [(GET, T)]),
        ("SELECT * FROM `p`.`d`.`t`", [(GET, T)]),
        ("SELECT * FROM d.t AS x JOIN d.s USING (a)", [(GET, T), (GET, S)]),
        ("SELECT * FROM other.d.t", [(GET, "projects/other/datasets/d/tables/t")]),
        ("WITH s AS (SELECT * FROM d.t) SELECT * FROM s", [(GET, T)]),
        ("SELECT x FROM d.t, t.list AS x", [(GET, T)]),
        ("SELECT (SELECT COUNT(*) FROM t.list) FROM d.t", [(GET, T)]),
        ("SELECT 1 FROM p.d.t UNION ALL SELECT 1 FROM (SELECT 1 FROM d.s AS p)", [(GET, T), (GET, S)]),
        ("SELECT (SELECT 1 FROM d.s AS d), 1 FROM d.t", [(GET, T), (GET, S)]),
        ("SELECT (SELECT MAX(a) FROM d.s) FROM d.t", [(GET, S), (GET, T)]),
        ("SELECT * FROM d.t UNION ALL SELECT * FROM d.s", [(GET, T), (GET, S)]),
        ("INSERT INTO d.t (a) SELECT a FROM d.s", [(PUT, T), (GET, S)]),
        ("INSERT INTO d.t (a) VALUES (1)", [(PUT, T)]),
        ("DELETE FROM d.t WHERE a IN (SELECT a FROM d.s)", [(GET, T), (PUT, T), (GET, S)]),
        ("UPDATE d.t SET a = 1 WHERE TRUE", [(GET, T), (PUT, T)]),
        ("MERGE d.t USING d.s ON FALSE WHEN NOT MATCHED THEN INSERT ROW", [(GET, T), (PUT, T), (GET, S)]),
        ("TRUNCATE TABLE d.t", [(PUT, T)]),
        ("CREATE TABLE d.t AS SELECT * FROM d.s", [(BIGQUERY + "create", D), (GET, S)]),
        (
            "CREATE OR REPLACE TABLE d.t (a INT64)",
            [(BIGQUERY + "create", D), (BIGQUERY + "update", T), (PUT, T)],
        ),
        ("DROP TABLE d.t", [(BIGQUERY + "delete", T)]),
        ("ALTER TABLE d.t ADD COLUMN a INT64", [(BIGQUERY + "get", T), (BIGQUERY + "update", T)]),
        ("CREATE SCHEMA d", [("bigquery.datasets.create", P)]),
        ("CREATE SCHEMA other.d", [("bigquery.datasets.create", "projects/other")]),
        ("DROP SCHEMA d CASCADE", [("bigquery.datasets.delete", D)]),
        ("SELECT * FROM d.INFORMATION_SCHEMA.TABLES", [(BIGQUERY + "list", D)]),
        (
            "BEGIN TRANSACTION;\nDELETE FROM `p.d.t` WHERE TRUE;\nINSERT INTO `p.d.t` (`a`) SELECT `a` FROM `p.d.s`;\n"
            "COMMIT TRANSACTION;",
            [(GET, T), (PUT, T), (PUT, T), (GET, S)],
        ),
    ],
)
def test_a_querys_required_permissions(sql: str, needs: list[tuple[str, str]]) -> None:
    found = list(query_permissions("p", sql))
    assert sorted(found) == sorted(RequiredPermission(*each) for each in needs)


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=4, unique=True))
@pytest.mark.long
def test_every_table_of_a_query_is_checked(names: list[tuple[str, str, str]]) -> None:
    """However tables are named, none is missed and none is invented."""
    tables = " UNION ALL ".join(f"SELECT 1 FROM `{'.'.join(name)}`" for name in names)  # noqa: S608
    expected = {RequiredPermission(GET, f"projects/{p}/datasets/{d}/tables/{t}") for p, d, t in names}
    assert set(query_permissions("elsewhere", tables)) == expected


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("CALL d.procedure()", "does not know which permission a statement"),
        ("EXPORT DATA OPTIONS (uri = 'gs://b/*') AS SELECT 1", "does not know which permission a statement"),
        ("DECLARE x INT64", "does not know which permission a statement"),
    ],
)
def test_an_unknown_statement_is_refused(sql: str, kind: str) -> None:
    with pytest.raises(UnknownMethodError, match=kind):
        list(query_permissions("p", sql))


@pytest.mark.parametrize(
    ("configuration", "error", "expected"),
    [
        (
            {},
            InvalidRequestError,
            "expected a job with one configuration of load, query, copy, extract, found \\[\\]",
        ),
        ({"load": NEVER, "query": {}}, InvalidRequestError, "found \\['load', 'query'\\]"),
        (
            {"load": {"destinationTable": {"datasetId": "d"}}},
            InvalidRequestError,
            "the configuration of the load job is invalid: KeyError\\('tableId'\\)",
        ),
        (
            {"load": {}},
            InvalidRequestError,
            "the configuration of the load job is invalid: KeyError\\('destinationTable'\\)",
        ),
        ({"copy": []}, InvalidRequestError, "the configuration of the copy job is invalid"),
        ({"query": {"query": "SELECT FROM WHERE"}}, InvalidRequestError, "Syntax error"),
        ({"query": {"query": "SELECT 1", "useLegacySql": True}}, UnknownMethodError, "GoogleSQL only"),
    ],
)
def test_an_invalid_job_is_refused(
    configuration: dict[str, Any], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        list(job_permissions("p", configuration))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UnknownMethodError, match=r"local/iam_proxy/bigquery\.py does not know"):
        make_request("GET", "/bigquery/v2/projects/p/datasets/d/models")
