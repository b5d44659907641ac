"""Dataproc: workflow templates, whose PySpark jobs run in Spark's local mode instead of on a cluster.

https://cloud.google.com/dataproc/docs/concepts/workflows/workflow-parameters
"""

import copy
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local.environment.clock import event_clock, parse_duration
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError, ProcessError
from local.iam_proxy.access import AccessControl, AccessError, RequiredPermission
from local.iam_proxy.storage import bucket_resource, object_resource
from local.service_router.router import Response, ServiceRouter, error_response, json_response
from local.stack.arguments import as_arguments, as_rest, block, blocks, report_unsupported_arguments
from local.stack.loading import Attributes, Handler, Resource
from local.workloads.spark import LocalSpark, local_spark, spark_options, spark_safe_folder
from local.workloads.workloads import ISOLATION, parse_gs_uri, read_object

HOST = "dataproc.googleapis.com"
TYPE = "google_dataproc_workflow_template"
TIMEOUT = "3600s"
# https://cloud.google.com/dataproc/docs/reference/rest/v1/projects.regions.workflowTemplates#orderedjob
ERROR_SEVERITIES = ("ERROR", "CRITICAL")  # severities of a job that fails
STEP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
REGION = "(?P<region>projects/[^/]+/regions/[^/]+)"
INSTANTIATE = re.compile(rf"POST /v1/(?P<name>{REGION}/workflowTemplates/[^/:]+):instantiate")
INSTANTIATE_INLINE = re.compile(rf"POST /v1/{REGION}/workflowTemplates:instantiateInline")
OPERATION = re.compile(rf"GET /v1/(?P<name>{REGION}/operations/[^/:]+)")
INTERNAL = 13  # https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
# What the account of a cluster's machines must be allowed, or none is made; the log is the driver's.
CLUSTER_PERMISSIONS = (
    "dataproc.agents.create",
    "dataproc.agents.delete",
    "dataproc.agents.get",
    "dataproc.agents.update",
    "dataproc.tasks.lease",
    "dataproc.tasks.listInvalidatedLeases",
    "dataproc.tasks.reportStatus",
    "logging.logEntries.create",
)
# What is sized for the cluster's machines.
REDELIVERY_WINDOW = "--redelivery-window-s"
YESTERDAY = "yesterday"
CLUSTER_PROPERTIES = re.compile(
    r"spark\.(executor|driver|yarn|dynamicAllocation|master|submit|eventLog|history)\b.*"
)
FIELD = re.compile(r"\.?([A-Za-z]\w*)|\['([^']+)'\]|\[(\d+)\]")


@dataclass
class Workflow:
    """One run of a workflow template; `state` is RUNNING, then DONE or FAILED."""

    operation: str  # the full name by which it is asked for
    template: str  # the full name of its template, empty where that was inline
    parameters: dict[str, str]
    jobs: list[Json]  # in the order in which they run
    folder: Path
    started_at: datetime
    request_id: str = ""
    state: str = "RUNNING"
    step: str = ""  # the one that was begun last
    error: str = ""
    ended_at: datetime | None = None
    seconds: float = 0.0
    summaries: dict[str, Json] = field(default_factory=dict)  # by step: the last JSON line that it printed
    finished: threading.Event = field(default_factory=threading.Event)


class Dataproc:
    """The workflow templates of one project, kept as the REST API writes them, by full name.

    Whoever is in `on_ended` is told each run that has ended.
    """

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._clock = event_clock(environment)
        self.templates = environment.collection("dataproc", "workflowTemplates")
        self.workflows: list[Workflow] = []
        self.on_ended: list[Callable[[Workflow], None]] = []
        self._lock = threading.Lock()
        for host in (HOST, f"{environment.region}-{HOST}"):
            environment.service(ServiceRouter).register_api(host, self.handle)

    def instantiate(self, name: str, parameters: dict[str, str]) -> Workflow:
        """Begin a run of a template. Raises NotFoundError, and LocalError for parameters that do not fit."""
        return self._start(name.partition("/workflowTemplates/")[0], self.templates.get(name), parameters)

    def handle(self, method: str, path: str, body: bytes, caller: str, request_id: str = "") -> Response:
        """Answer `:instantiate`, `:instantiateInline` and questions for their operations as the API does.

        `request_id` is that of the query, where an inline template has it.
        """
        call = f"{method} {path}"
        try:
            workflow = self._dispatch(call, body, caller, request_id)
        except AccessError as error:
            return error_response(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", str(error), error.details)
        except NotFoundError as error:
            message = f"Not found: {error.collection} {error.name}"
            return error_response(HTTPStatus.NOT_FOUND, "NOT_FOUND", message)
        except LocalError as error:
            return error_response(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", str(error))
        except (ValueError, AttributeError, TypeError) as error:
            message = f"Invalid JSON payload received: {error}"
            return error_response(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", message)
        if workflow is None:
            return error_response(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"{call} is not answered here")
        return json_response(as_operation(workflow))

    def _dispatch(self, call: str, body: bytes, caller: str, request_id: str) -> Workflow | None:
        """Return the run that a call begins or asks for, None for another call."""
        if match := OPERATION.fullmatch(call):
            self._check_caller(caller, "dataproc.operations.get")
            found = [each for each in self.workflows if each.operation == match["name"]]
            if not found:
                raise NotFoundError("Operation", match["name"])
            return found[0]
        if match := INSTANTIATE_INLINE.fullmatch(call):
            template = _inline_template(json.loads(body or b"{}"), self._environment)
            self._check_caller(caller, "dataproc.workflowTemplates.instantiateInline", template)
            return self._start(match["region"], template, {}, request_id)
        if match := INSTANTIATE.fullmatch(call):
            kept = self.templates.find(match["name"])
            self._check_caller(caller, "dataproc.workflowTemplates.instantiate", kept)
            if kept is None:
                raise NotFoundError("Workflow Template", match["name"])
            asked = json.loads(body or b"{}")
            return self._start(match["region"], kept, asked.get("parameters", {}), asked.get("requestId", ""))
        return None

    def _start(
        self, region: str, template: Json, parameters: dict[str, str], request_id: str = ""
    ) -> Workflow:
        """Begin a run, or return the one that runs already for the same request."""
        jobs = substitute_parameters(template, parameters)
        for job in jobs:
            _check_job(job)
        parse_duration(template["dagTimeout"])
        name = template.get("name", "")
        with self._lock:
            for each in self.workflows:
                if request_id and each.request_id == request_id and each.state == "RUNNING":
                    return each
            stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{len(self.workflows) + 1}"
            folder = self._environment.folder / "dataproc" / (name.rpartition("/")[2] or "inline") / stamp
            workflow = Workflow(
                f"{region}/operations/{stamp}",
                name,
                dict(parameters),
                jobs,
                folder,
                self._clock.now(),
                request_id,
            )
            self.workflows.append(workflow)
        self._clock.start(lambda: self._run(workflow, template))
        return workflow

    def _check_caller(self, caller: str, permission: str, template: Json | None = None) -> None:
        """Who starts a cluster needs a permission on the project, and acts as the account of its machines.

        https://cloud.google.com/dataproc/docs/concepts/iam/iam#workflow_templates_methods_required_permissions
        """
        access, project = self._environment.service(AccessControl), f"projects/{self._environment.project}"
        access.check(caller, [RequiredPermission(permission, project)])
        if account := (template or {}).get("serviceAccount"):
            access.check(
                caller,
                [RequiredPermission("iam.serviceAccounts.actAs", f"{project}/serviceAccounts/{account}")],
            )

    def _check_cluster_permissions(self, template: Json) -> None:
        """Raise LocalError where Dataproc would make no machines of that account, or they could not work.

        https://cloud.google.com/dataproc/docs/concepts/configuring-clusters/service-accounts
        """
        account, project = template["serviceAccount"], f"projects/{self._environment.project}"
        access = self._environment.service(AccessControl)
        needs = [RequiredPermission(permission, project) for permission in CLUSTER_PERMISSIONS]
        if staging := template.get("stagingBucket"):
            needs.append(RequiredPermission("storage.buckets.get", bucket_resource(staging)))
            needs.append(
                RequiredPermission(
                    "storage.objects.create", object_resource(staging, "google-cloud-dataproc-metainfo/")
                )
            )
        try:
            access.check(account, needs)
        except AccessError as error:
            raise LocalError(
                f"Service Account '{account}' is missing required permissions: {error.summary}"
            ) from error

    def _run(self, workflow: Workflow, template: Json) -> None:
        started_at, error = time.monotonic(), "ended by a fault of this program: see local.log"
        try:
            self._check_cluster_permissions(template)
            for job in workflow.jobs:
                workflow.step = job["stepId"]
                workflow.summaries[workflow.step] = self._submit(workflow, job, template)
            error = ""
        except LocalError as failure:
            error = str(failure)
        finally:
            workflow.seconds, workflow.ended_at = time.monotonic() - started_at, self._clock.now()
            workflow.error = error
            workflow.state = "FAILED" if error else "DONE"
            workflow.finished.set()
            for callback in self.on_ended:
                callback(workflow)

    def _submit(self, workflow: Workflow, job: Json, template: Json) -> Json:
        """Run one PySpark job to its end; return the last JSON object that it printed. Raises LocalError."""
        step, spark = job["stepId"], job.get("pysparkJob")
        if spark is None:
            raise LocalError(f"step {step} is no PySpark job: only those run here")
        folder = workflow.folder / step
        folder.mkdir(parents=True)
        lines: list[str] = []
        local_installation = local_spark()
        name = f"job {step} of {workflow.folder.name}"
        log = self._environment.folder / "logs" / f"job-{step}-{workflow.folder.name}.log"
        try:
            with spark_safe_folder(folder.resolve()) as place:
                self._environment.supervisor.run(
                    name,
                    [
                        str(local_installation.submit),
                        *self._submit_arguments(local_installation, spark, template, place),
                    ],
                    env=self._job_variables(local_installation, template["serviceAccount"]),
                    cwd=folder,
                    log=log,
                    on_line=lines.append,
                    timeout_s=parse_duration(template["dagTimeout"]),
                )
        except ProcessError as error:
            if error.fault is None and (reason := find_error_message(lines)):
                raise LocalError(f"{reason}\nits whole output: {log}") from error
            raise
        summary = find_summary(lines)
        if summary is None:
            raise ProcessError(name, "printed no JSON summary", log)
        return summary

    def _submit_arguments(
        self, local_installation: LocalSpark, spark: Json, template: Json, folder: Path
    ) -> list[str]:
        """Return the command line after `spark-submit`; the files it names are fetched into `folder`."""
        account = template["serviceAccount"]
        declared = {k: str(v) for k, v in (template["properties"] | spark.get("properties", {})).items()}
        for key in [key for key in declared if CLUSTER_PROPERTIES.fullmatch(key)]:
            self._environment.report_unsupported(
                f"Spark property {key}={declared.pop(key)}: no cluster is here"
            )
        conf = declared | local_installation.conf | {"spark.local.dir": str(folder / "scratch")}
        conf["spark.sql.warehouse.dir"] = str(folder / "warehouse")
        conf["spark.sql.shuffle.partitions"] = "2"  # small data: no more tasks than are of use
        words = ["--master", "local[2]", *spark_options(conf)]
        if files := [self._download_file(uri, folder, account) for uri in spark.get("pythonFileUris", ())]:
            words += ["--py-files", ",".join(str(file) for file in files)]
        arguments = [str(each) for each in spark.get("args", ())]
        if REDELIVERY_WINDOW in arguments[:-1]:
            # The job compares its real clock with it; that deliveries are over is known here in simulated time.
            at = arguments.index(REDELIVERY_WINDOW)
            del arguments[at : at + 2]
            self._environment.report_unsupported(
                f"the job's {REDELIVERY_WINDOW}: its clock is not the simulated one"
            )
        arguments = resolve_yesterday(arguments, self._clock.now(), datetime.now(UTC))
        return [*words, str(self._download_file(spark["mainPythonFileUri"], folder, account)), *arguments]

    def _download_file(self, uri: str, folder: Path, account: str) -> Path:
        """Fetch a job's file, as the cluster's machines do. Raises LocalError, DeniedError where they may not."""
        bucket, name = parse_gs_uri(uri)
        self._environment.service(AccessControl).check(
            account, [RequiredPermission("storage.objects.get", object_resource(bucket, name))]
        )
        file = folder / name.rpartition("/")[2]
        file.write_bytes(read_object(self._environment, bucket, name))
        return file

    def _job_variables(self, spark: LocalSpark, account: str) -> dict[str, str]:
        python = self._environment.python
        base = self._environment.workload_variables(account)
        paths = {"PATH": f"{python.parent}:{base['PATH']}", "PYTHONPATH": str(ISOLATION)}
        return base | paths | spark.variables(python)


def as_operation(workflow: Workflow) -> Json:
    """Return a run as the long-running operation that the API tells of.

    https://cloud.google.com/dataproc/docs/concepts/workflows/debugging#using_workflowmetadata
    """
    state = workflow.state
    metadata: Json = {
        "@type": "type.googleapis.com/google.cloud.dataproc.v1.WorkflowMetadata",
        "graph": {"nodes": [_node(workflow, job, state) for job in workflow.jobs]},
        "state": "RUNNING" if state == "RUNNING" else "DONE",
        "startTime": _timestamp(workflow.started_at),
    }
    if workflow.template:
        metadata |= {"template": workflow.template, "version": 1, "parameters": workflow.parameters}
    if workflow.ended_at is not None:
        metadata["endTime"] = _timestamp(workflow.ended_at)
    operation = {"name": workflow.operation, "metadata": metadata, "done": state != "RUNNING"}
    match state:
        case "DONE":
            operation["response"] = {"@type": "type.googleapis.com/google.protobuf.Empty"}
        case "FAILED":
            operation["error"] = {"code": INTERNAL, "message": workflow.error}
    return operation


def _node(workflow: Workflow, job: Json, state: str) -> Json:
    step = job["stepId"]
    node = {"stepId": step, "prerequisiteStepIds": job.get("prerequisiteStepIds", []), "state": "BLOCKED"}
    if step in workflow.summaries:
        node["state"] = "COMPLETED"
    elif step == workflow.step:
        node["state"] = "RUNNING" if state == "RUNNING" else "FAILED"
    if step in workflow.summaries or step == workflow.step:
        node["jobId"] = f"{step}-{workflow.folder.name}"
    return node | ({"error": workflow.error} if node["state"] == "FAILED" else {})


def _timestamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def substitute_parameters(template: Json, parameters: dict[str, str]) -> list[Json]:
    """Return a template's jobs, in the order of their prerequisites, with the parameters put in place.

    Raises LocalError, as Dataproc refuses: for a parameter that is missing, unknown, or not allowed; for jobs of
    which no order can be made.
    """
    declared = {each["name"]: each for each in template.get("parameters", ())}
    missing, unknown = (
        sorted(declared.keys() - parameters.keys()),
        sorted(parameters.keys() - declared.keys()),
    )
    if missing or unknown:
        callback = [
            f"{kind}: {', '.join(names)}"
            for kind, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        raise LocalError(
            f"{_template_name(template)} takes the parameters {', '.join(declared) or 'none'}; {'; '.join(callback)}"
        )
    filled = copy.deepcopy(template)
    for name, value in parameters.items():
        _check_allowed(declared[name], value)
        for path in declared[name]["fields"]:
            _set_field(filled, path, value)
    return _sort_jobs(filled["jobs"])


def resolve_yesterday(arguments: list[str], simulated: datetime, real: datetime) -> list[str]:
    """Return a job's arguments with the date of the simulated yesterday where it is not the real one.

    The job reads the machine's clock: it would take another day for yesterday, and refuses one that has not begun.
    """
    day = simulated.date() - timedelta(days=1)
    if day >= real.date() - timedelta(days=1):
        return arguments
    return [day.isoformat() if each == YESTERDAY else each for each in arguments]


def _template_name(template: Json) -> str:
    return str(template.get("name", "the inline template"))


def _sort_jobs(jobs: list[Json]) -> list[Json]:
    """Return jobs behind their prerequisites. Raises LocalError."""
    steps = {str(job.get("stepId", "")): job for job in jobs}
    if not jobs or "" in steps or len(steps) < len(jobs):
        found = ", ".join(repr(job.get("stepId")) for job in jobs) or "no job"
        raise LocalError(f"jobs: expected at least one, each with a stepId of its own, found {found}")
    if wrong := [step for step in steps if not STEP_ID.fullmatch(step)]:  # it names folders and logs
        raise LocalError(f"jobs: a stepId has at most 50 letters, digits, - and _, found {wrong[0]!r}")
    order = TopologicalSorter({step: job.get("prerequisiteStepIds", ()) for step, job in steps.items()})
    try:
        names = list(order.static_order())
    except CycleError as error:
        raise LocalError(f"jobs: {' → '.join(error.args[1])} wait for one another") from None
    if unknown := [name for name in names if name not in steps]:
        raise LocalError(
            f"jobs: the prerequisite {unknown[0]} is no step of the template: {', '.join(steps)}"
        )
    return [steps[name] for name in names]


def _check_job(job: Json) -> None:
    """Raise LocalError where what names a PySpark job's files and words is no text."""
    if (spark := job.get("pysparkJob")) is None:
        return
    texts = [spark.get("mainPythonFileUri"), *spark.get("args", ()), *spark.get("pythonFileUris", ())]
    if not all(isinstance(text, str) for text in texts):
        raise LocalError(
            f"step {job['stepId']}: expected a mainPythonFileUri, args and pythonFileUris that are texts, "
            f"found {texts}"
        )


def find_summary(lines: list[str]) -> Json | None:
    """Return the last line that is a JSON object, None where no line is."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def find_error_message(lines: list[str]) -> str | None:
    """Return the message of the last line that a job logged as an error, None where it logged none."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("severity") in ERROR_SEVERITIES:
            return str(found.get("message", "")).strip() or None
    return None


def _check_allowed(declared: Json, value: Any) -> None:
    if not isinstance(value, str):
        raise LocalError(f"parameter {declared['name']} must be a text, found {value!r}")
    validation = declared.get("validation", {})
    allowed = validation.get("values", {}).get("values")
    if allowed is not None and value not in allowed:
        raise LocalError(f"parameter {declared['name']} must be one of {', '.join(allowed)}, found {value!r}")
    patterns = validation.get("regex", {}).get("regexes")
    if patterns and not any(re.fullmatch(pattern, value) for pattern in patterns):
        raise LocalError(f"parameter {declared['name']} must match {' or '.join(patterns)}, found {value!r}")


def _set_field(template: Json, path: str, value: str) -> None:
    """Set the field of a path such as `jobs['rebuild'].pysparkJob.args[3]`."""
    tokens = FIELD.findall(path)
    if "".join(m[0] for m in FIELD.finditer(path)) != path or len(tokens) < 2:
        raise LocalError(f"{_template_name(template)}: parameter field {path!r} is not understood")
    at: Any = template
    try:
        for name, key, index in tokens[:-1]:
            at = _descend(at, name, key, index)
        name, key, index = tokens[-1]
        where: Any = int(index) if index else name or key
        at[where]  # a field that is not there is an error of the template
        at[where] = value
    except (KeyError, IndexError, TypeError, StopIteration):
        raise LocalError(f"{_template_name(template)}: parameter field {path!r} leads to nothing") from None


def _descend(at: Any, name: str, key: str, index: str) -> Any:
    if index:
        return at[int(index)]
    if key and isinstance(at, list):  # jobs are selected by their step's id
        return next(each for each in at if each.get("stepId") == key)
    return at[name or key]


def workflow_template(
    resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment
) -> Attributes:
    """google_dataproc_workflow_template with a managed cluster, of which only the service account counts."""
    project = arguments.get("project", environment.project)
    region = arguments.get("location", environment.region)
    name = f"projects/{project}/regions/{region}/workflowTemplates/{arguments['name']}"
    environment.service(Dataproc).templates.put(
        name, {"name": name} | _template_resource(arguments, environment)
    )
    return {"project": project} | arguments | {"id": name, "version": 1}


def as_terraform_arguments(template: Json) -> dict[str, Any]:
    """Return a template of the REST API with the names that Terraform has for its parts."""
    arguments: dict[str, Any] = as_arguments(template)
    config = block(block(block(arguments, "placement"), "managed_cluster"), "config")
    if "config_bucket" in config:  # the one that has another name there
        config["staging_bucket"] = config.pop("config_bucket")
    return arguments


def _inline_template(template: Json, environment: LocalEnvironment) -> Json:
    """Return what is kept of a template that is only run. Raises LocalError, as Dataproc refuses it."""
    arguments = as_terraform_arguments(template)
    if not block(block(arguments, "placement"), "managed_cluster"):
        raise LocalError("the inline template has no placement.managedCluster")
    return _template_resource(arguments, environment)


def _template_resource(arguments: dict[str, Any], environment: LocalEnvironment) -> Json:
    """Return what counts of a template: its jobs and parameters, and what they need of the cluster."""
    cluster = block(block(arguments, "placement"), "managed_cluster")
    unsupported = {"placement": "there is no cluster: jobs run in Spark's local mode, with two threads"}
    supported = {"name", "location", "jobs", "parameters"}
    supported |= {"dag_timeout"}
    unsupported |= {"encryption_config": "nothing is encrypted here"}
    report_unsupported_arguments(environment, TYPE, arguments, supported, unsupported)
    config = block(cluster, "config")
    software = block(config, "software_config").get("properties", {})
    spark = {key.removeprefix("spark:"): v for key, v in software.items() if key.startswith("spark:")}
    return {
        "jobs": [_job(job) for job in blocks(arguments, "jobs")],
        "parameters": [_parameter(each) for each in blocks(arguments, "parameters")],
        "serviceAccount": block(config, "gce_cluster_config").get("service_account", ""),
        "stagingBucket": config.get("staging_bucket", ""),
        "dagTimeout": arguments.get("dag_timeout", TIMEOUT),
        "properties": spark,  # what the cluster's own configuration would set for every job
    }


def _job(job: dict[str, Any]) -> Json:
    rest: Json = as_rest({key: value for key, value in job.items() if not key.endswith("_job")})
    for kind in (key for key in job if key.endswith("_job")):
        inner = dict(block(job, kind))
        properties = inner.pop("properties", {})  # their names are Spark's, not the API's
        rest[as_rest({kind: 0}).popitem()[0]] = as_rest(inner) | {"properties": properties}
    return rest


def _parameter(parameter: dict[str, Any]) -> Json:
    validation = block(parameter, "validation")
    checks = {kind: block(validation, kind) for kind in ("regex", "values") if block(validation, kind)}
    return {"name": parameter["name"], "fields": list(parameter["fields"])} | (
        {"validation": checks} if checks else {}
    )


HANDLERS: dict[str, Handler] = {TYPE: workflow_template}
