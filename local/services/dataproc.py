"""Dataproc: workflow templates, whose PySpark jobs run in Spark's local mode instead of on a cluster.

https://cloud.google.com/dataproc/docs/concepts/workflows/workflow-parameters
"""

import json
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local.environment.clock import event_clock, parse_duration
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError, ProcessError
from local.iam_proxy.access import AccessControl
from local.iam_proxy.denials import AccessError, RequiredPermission
from local.iam_proxy.storage import bucket_resource, object_resource
from local.service_router.router import Response, ServiceRouter, error_response, json_response
from local.services.dataproc_templates import (
    TYPE,
    check_job,
    inline_template,
    substitute_parameters,
    template_resource,
)
from local.services.dataproc_workflows import Workflow, as_operation, find_error_message, find_summary
from local.stack.applying import Attributes, Handler
from local.stack.loading import Resource
from local.workloads.spark import LocalSpark, local_spark, spark_options, spark_safe_folder
from local.workloads.workloads import ISOLATION, parse_gs_uri, read_object

HOST = "dataproc.googleapis.com"
REGION = "(?P<region>projects/[^/]+/regions/[^/]+)"
INSTANTIATE = re.compile(rf"POST /v1/(?P<name>{REGION}/workflowTemplates/[^/:]+):instantiate")
INSTANTIATE_INLINE = re.compile(rf"POST /v1/{REGION}/workflowTemplates:instantiateInline")
OPERATION = re.compile(rf"GET /v1/(?P<name>{REGION}/operations/[^/:]+)")
# The permissions that a cluster's service account must have; the last one is for the driver's log.
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
# Spark properties that depend on the cluster's size.
REDELIVERY_WINDOW = "--redelivery-window-s"
YESTERDAY = "yesterday"
CLUSTER_PROPERTIES = re.compile(
    r"spark\.(executor|driver|yarn|dynamicAllocation|master|submit|eventLog|history)\b.*"
)


class Dataproc:
    """The workflow templates of one project, as REST resources by full name.

    Each callback of `on_ended` gets each run that has ended.
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
        """Start a run of a template. Raises NotFoundError, and LocalError for invalid parameters."""
        return self._start(name.partition("/workflowTemplates/")[0], self.templates.get(name), parameters)

    def handle(self, method: str, path: str, body: bytes, caller: str, request_id: str = "") -> Response:
        """Handle `:instantiate`, `:instantiateInline` and reads of their operations.

        `request_id` is the query parameter, where an inline template has it.
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
            return error_response(
                HTTPStatus.NOT_FOUND, "NOT_FOUND", f"{call} is not supported by the local run"
            )
        return json_response(as_operation(workflow))

    def _dispatch(self, call: str, body: bytes, caller: str, request_id: str) -> Workflow | None:
        """Return the run that a request starts or reads, or None for another request."""
        if match := OPERATION.fullmatch(call):
            self._check_caller(caller, "dataproc.operations.get")
            found = [each for each in self.workflows if each.operation == match["name"]]
            if not found:
                raise NotFoundError("Operation", match["name"])
            return found[0]
        if match := INSTANTIATE_INLINE.fullmatch(call):
            template = inline_template(json.loads(body or b"{}"), self._environment)
            self._check_caller(caller, "dataproc.workflowTemplates.instantiateInline", template)
            return self._start(match["region"], template, {}, request_id)
        if match := INSTANTIATE.fullmatch(call):
            stored = self.templates.find(match["name"])
            self._check_caller(caller, "dataproc.workflowTemplates.instantiate", stored)
            if stored is None:
                raise NotFoundError("Workflow Template", match["name"])
            document = json.loads(body or b"{}")
            return self._start(
                match["region"], stored, document.get("parameters", {}), document.get("requestId", "")
            )
        return None

    def _start(
        self, region: str, template: Json, parameters: dict[str, str], request_id: str = ""
    ) -> Workflow:
        """Start a run, or return the running one of the same request ID."""
        jobs = substitute_parameters(template, parameters)
        for job in jobs:
            check_job(job)
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
        """Check that the caller has a permission on the project, and may act as the cluster's service account.

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
        """Raise LocalError where the cluster's service account lacks a permission that Dataproc requires.

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
        started_at, error = time.monotonic(), "an internal error of the local run: see local.log"
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
        """Run a PySpark job to its end; return the last JSON object that it printed. Raises LocalError."""
        step, spark = job["stepId"], job.get("pysparkJob")
        if spark is None:
            raise LocalError(f"step {step} is not a PySpark job: the local run supports no other type")
        folder = workflow.folder / step
        folder.mkdir(parents=True)
        lines: list[str] = []
        local_installation = local_spark()
        name = f"job {step} of {workflow.folder.name}"
        log = self._environment.folder / "logs" / f"job-{step}-{workflow.folder.name}.log"
        try:
            with spark_safe_folder(folder.resolve()) as safe_folder:
                self._environment.supervisor.run(
                    name,
                    [
                        str(local_installation.submit),
                        *self._submit_arguments(local_installation, spark, template, safe_folder),
                    ],
                    env=self._job_variables(local_installation, template["serviceAccount"]),
                    cwd=folder,
                    log=log,
                    on_line=lines.append,
                    timeout_s=parse_duration(template["dagTimeout"]),
                )
        except ProcessError as error:
            if error.fault is None and (reason := find_error_message(lines)):
                raise LocalError(f"{reason}\nfull output: {log}") from error
            raise
        summary = find_summary(lines)
        if summary is None:
            raise ProcessError(name, "printed no JSON summary", log)
        return summary

    def _submit_arguments(
        self, local_installation: LocalSpark, spark: Json, template: Json, folder: Path
    ) -> list[str]:
        """Return the arguments of `spark-submit`; download the files that they name into `folder`."""
        account = template["serviceAccount"]
        declared = {k: str(v) for k, v in (template["properties"] | spark.get("properties", {})).items()}
        for key in [key for key in declared if CLUSTER_PROPERTIES.fullmatch(key)]:
            self._environment.report_unsupported(
                f"Spark property {key}={declared.pop(key)}: there is no cluster"
            )
        conf = declared | local_installation.conf | {"spark.local.dir": str(folder / "scratch")}
        conf["spark.sql.warehouse.dir"] = str(folder / "warehouse")
        conf["spark.sql.shuffle.partitions"] = "2"  # enough for little data
        argv = ["--master", "local[2]", *spark_options(conf)]
        if files := [self._download_file(uri, folder, account) for uri in spark.get("pythonFileUris", ())]:
            argv += ["--py-files", ",".join(str(file) for file in files)]
        arguments = [str(each) for each in spark.get("args", ())]
        if REDELIVERY_WINDOW in arguments[:-1]:
            # The job compares it with the host's clock, while deliveries end in simulated time.
            at = arguments.index(REDELIVERY_WINDOW)
            del arguments[at : at + 2]
            self._environment.report_unsupported(
                f"the job's {REDELIVERY_WINDOW}: ignored, because the job reads the host's clock"
            )
        arguments = resolve_yesterday(arguments, self._clock.now(), datetime.now(UTC))
        return [*argv, str(self._download_file(spark["mainPythonFileUri"], folder, account)), *arguments]

    def _download_file(self, uri: str, folder: Path, account: str) -> Path:
        """Download a file of a job as the cluster's service account. Raises LocalError, and DeniedError without
        permission.
        """
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


def resolve_yesterday(arguments: list[str], simulated: datetime, real: datetime) -> list[str]:
    """Return a job's arguments with "yesterday" replaced by the simulated date, where it is not the real one.

    The job reads the host's clock: it would take another day for yesterday, and refuses a day that has not begun.
    """
    day = simulated.date() - timedelta(days=1)
    if day >= real.date() - timedelta(days=1):
        return arguments
    return [day.isoformat() if each == YESTERDAY else each for each in arguments]


def workflow_template(
    resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment
) -> Attributes:
    """google_dataproc_workflow_template with a managed cluster, of which only the service account is used."""
    project = arguments.get("project", environment.project)
    region = arguments.get("location", environment.region)
    name = f"projects/{project}/regions/{region}/workflowTemplates/{arguments['name']}"
    environment.service(Dataproc).templates.put(
        name, {"name": name} | template_resource(arguments, environment)
    )
    return {"project": project} | arguments | {"id": name, "version": 1}


HANDLERS: dict[str, Handler] = {TYPE: workflow_template}
