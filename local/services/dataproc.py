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
from graphlib import TopologicalSorter
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local.access import Access, AccessError, Need
from local.arguments import as_rest, block, blocks, say_unhonoured
from local.clock import clock_of, seconds
from local.collection import Json
from local.errors import LocalError, ProcessError
from local.frontend import Answer, FrontEnd, error_answer, json_answer
from local.guard.storage import bucket_name, object_name
from local.machine import Machine
from local.spark import LocalSpark, local_spark
from local.stack import Attributes, Handler, Resource
from local.workloads import ISOLATION, gs_parts, read_object

HOST = "dataproc.googleapis.com"
TIMEOUT = "3600s"
# What the account of a cluster's machines must be allowed, or none is made; the log is the driver's.
MACHINES = (
    "dataproc.agents.create",
    "dataproc.agents.delete",
    "dataproc.agents.get",
    "dataproc.agents.update",
    "dataproc.tasks.lease",
    "dataproc.tasks.listInvalidatedLeases",
    "dataproc.tasks.reportStatus",
    "logging.logEntries.create",
)
# Small data on a small machine: no web page, no public interface, no more tasks than are of use.
LOCAL_CONF = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    "spark.log.level": "WARN",
}
# What is sized for the cluster's machines.
SIZES = re.compile(r"spark\.(executor|driver|yarn|dynamicAllocation|master|submit|eventLog|history)\b.*")
FIELD = re.compile(r"\.?([A-Za-z]\w*)|\['([^']+)'\]|\[(\d+)\]")


@dataclass
class Workflow:
    """One run of a workflow template; `state` is RUNNING, then DONE or FAILED."""

    number: int
    template: str
    parameters: dict[str, str]
    folder: Path
    state: str = "RUNNING"
    error: str = ""
    seconds: float = 0.0
    summaries: dict[str, Json] = field(default_factory=dict)  # by step: the last JSON line that it printed
    ended: threading.Event = field(default_factory=threading.Event)


class Dataproc:
    """The workflow templates of one project, kept as the REST API writes them, by full name.

    Whoever is in `on_ended` is told each run that has ended.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._clock = clock_of(machine)
        self.templates = machine.collection("dataproc", "workflowTemplates")
        self.workflows: list[Workflow] = []
        self.on_ended: list[Callable[[Workflow], None]] = []
        self._lock = threading.Lock()
        for host in (HOST, f"{machine.region}-{HOST}"):
            machine.service(FrontEnd).answer_for(host, self._answer)

    def instantiate(self, name: str, parameters: dict[str, str]) -> Workflow:
        """Begin a run of a template. Raises NotFoundError, and LocalError for parameters that do not fit."""
        jobs = substituted(self.templates.get(name), parameters)
        with self._lock:
            number = len(self.workflows) + 1
            stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{number}"
            folder = self._machine.folder / "dataproc" / name.rpartition("/")[2] / stamp
            workflow = Workflow(number, name, dict(parameters), folder)
            self.workflows.append(workflow)
        self._clock.start(lambda: self._run(workflow, jobs))
        return workflow

    def _answer(self, method: str, path: str, body: bytes, caller: str) -> Answer:
        """Answer POST …/workflowTemplates/<name>:instantiate as the API does."""
        match = re.fullmatch(r"/v1/(projects/[^/]+/regions/[^/]+/workflowTemplates/[^/:]+):instantiate", path)
        if method != "POST" or match is None:
            return error_answer(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"{method} {path} is not answered here")
        try:
            self._check_starter(caller, match[1])
        except AccessError as error:
            return error_answer(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", str(error), error.details)
        if self.templates.find(match[1]) is None:
            return error_answer(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"Not found: Workflow Template {match[1]}")
        try:
            parameters = json.loads(body or b"{}").get("parameters", {})
            workflow = self.instantiate(match[1], parameters)
        except (LocalError, ValueError, AttributeError) as error:
            return error_answer(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", str(error))
        region = match[1].rpartition("/workflowTemplates/")[0]
        return json_answer({"name": f"{region}/operations/{workflow.number}", "done": False})

    def _check_starter(self, caller: str, name: str) -> None:
        """Who starts a cluster needs a permission on the project, and acts as the account of its machines.

        https://cloud.google.com/dataproc/docs/concepts/iam/iam#workflow_templates_methods_required_permissions
        """
        access, project = self._machine.service(Access), f"projects/{self._machine.project}"
        access.check(caller, [Need("dataproc.workflowTemplates.instantiate", project)])
        account = (self.templates.find(name) or {}).get("serviceAccount")
        if account:
            access.check(caller, [Need("iam.serviceAccounts.actAs", f"{project}/serviceAccounts/{account}")])

    def _check_machines(self, template: Json) -> None:
        """Raise LocalError where Dataproc would make no machines of that account, or they could not work.

        https://cloud.google.com/dataproc/docs/concepts/configuring-clusters/service-accounts
        """
        account, project = template["serviceAccount"], f"projects/{self._machine.project}"
        access = self._machine.service(Access)
        needs = [Need(permission, project) for permission in MACHINES]
        if staging := template.get("stagingBucket"):
            needs.append(Need("storage.buckets.get", bucket_name(staging)))
            needs.append(
                Need("storage.objects.create", object_name(staging, "google-cloud-dataproc-metainfo/"))
            )
        try:
            access.check(account, needs)
        except AccessError as error:
            raise LocalError(
                f"Service Account '{account}' is missing required permissions: {error.sentence}"
            ) from error

    def _run(self, workflow: Workflow, jobs: list[Json]) -> None:
        began = time.monotonic()
        try:
            template = self.templates.get(workflow.template)
            self._check_machines(template)
            for job in jobs:
                workflow.summaries[job["stepId"]] = self._submit(workflow, job, template)
            workflow.state = "DONE"
        except LocalError as error:
            workflow.state, workflow.error = "FAILED", str(error)
        finally:
            workflow.seconds = time.monotonic() - began
            workflow.ended.set()
            for told in self.on_ended:
                told(workflow)

    def _submit(self, workflow: Workflow, job: Json, template: Json) -> Json:
        """Run one PySpark job to its end; return the last JSON object that it printed. Raises LocalError."""
        step, spark = job["stepId"], job.get("pysparkJob")
        if spark is None:
            raise LocalError(f"step {step} of {workflow.template} is no PySpark job: only those run here")
        folder = workflow.folder / step
        folder.mkdir(parents=True)
        lines: list[str] = []
        here = local_spark()
        name = f"job {step}"
        log = self._machine.folder / "logs" / f"job-{step}-{workflow.folder.name}.log"
        self._machine.supervisor.run(
            name,
            [
                str(here.submit),
                *self._words(here, spark, template, folder),
            ],
            env=self._environment(here, template["serviceAccount"]),
            cwd=folder,
            log=log,
            on_line=lines.append,
            timeout_s=seconds(template["dagTimeout"]),
        )
        summary = last_object(lines)
        if summary is None:
            raise ProcessError(name, "printed no JSON summary", log)
        return summary

    def _words(self, here: LocalSpark, spark: Json, template: Json, folder: Path) -> list[str]:
        """Return the command line after `spark-submit`; the files it names are fetched into `folder`."""
        account = template["serviceAccount"]
        declared = {k: str(v) for k, v in (template["properties"] | spark.get("properties", {})).items()}
        for key in [key for key in declared if SIZES.fullmatch(key)]:
            self._machine.say_not_honoured(f"Spark property {key}={declared.pop(key)}: no cluster is here")
        conf = declared | LOCAL_CONF | {"spark.local.dir": str(folder / "scratch")}
        conf["spark.sql.warehouse.dir"] = str(folder / "warehouse")
        conf["spark.driver.extraJavaOptions"] = here.jvm_options
        words = ["--master", "local[2]"]
        for key, value in conf.items():
            words += ["--conf", f"{key}={value}"]
        if files := [self._fetch(uri, folder, account) for uri in spark.get("pythonFileUris", ())]:
            words += ["--py-files", ",".join(str(file) for file in files)]
        return [*words, str(self._fetch(spark["mainPythonFileUri"], folder, account)), *spark.get("args", ())]

    def _fetch(self, uri: str, folder: Path, account: str) -> Path:
        """Fetch a job's file, as the cluster's machines do. Raises LocalError, DeniedError where they may not."""
        bucket, name = gs_parts(uri)
        self._machine.service(Access).check(account, [Need("storage.objects.get", object_name(bucket, name))])
        file = folder / name.rpartition("/")[2]
        file.write_bytes(read_object(self._machine, bucket, name))
        return file

    def _environment(self, spark: LocalSpark, account: str) -> dict[str, str]:
        python = self._machine.python
        base = self._machine.workload_environment(account)
        paths = {"PATH": f"{python.parent}:{base['PATH']}", "PYTHONPATH": str(ISOLATION)}
        return base | paths | spark.environment(python)


def substituted(template: Json, parameters: dict[str, str]) -> list[Json]:
    """Return a template's jobs, in the order of their prerequisites, with the parameters put in place.

    Raises LocalError, as Dataproc refuses: for a parameter that is missing, unknown, or not allowed.
    """
    declared = {each["name"]: each for each in template.get("parameters", ())}
    missing, unknown = (
        sorted(declared.keys() - parameters.keys()),
        sorted(parameters.keys() - declared.keys()),
    )
    if missing or unknown:
        told = [
            f"{kind}: {', '.join(names)}"
            for kind, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        raise LocalError(
            f"{template['name']} takes the parameters {', '.join(declared) or 'none'}; {'; '.join(told)}"
        )
    filled = copy.deepcopy(template)
    for name, value in parameters.items():
        _check_allowed(declared[name], value)
        for path in declared[name]["fields"]:
            _put(filled, path, value)
    jobs = {job["stepId"]: job for job in filled["jobs"]}
    order = TopologicalSorter({step: job.get("prerequisiteStepIds", ()) for step, job in jobs.items()})
    return [jobs[step] for step in order.static_order()]


def last_object(lines: list[str]) -> Json | None:
    """Return the last line that is a JSON object, None where no line is."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
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


def _put(template: Json, path: str, value: str) -> None:
    """Set the field of a path such as `jobs['rebuild'].pysparkJob.args[3]`."""
    tokens = FIELD.findall(path)
    if "".join(m[0] for m in FIELD.finditer(path)) != path or len(tokens) < 2:
        raise LocalError(f"{template['name']}: parameter field {path!r} is not understood")
    at: Any = template
    try:
        for name, key, index in tokens[:-1]:
            at = _step(at, name, key, index)
        name, key, index = tokens[-1]
        where: Any = int(index) if index else name or key
        at[where]  # a field that is not there is an error of the template
        at[where] = value
    except (KeyError, IndexError, TypeError, StopIteration):
        raise LocalError(f"{template['name']}: parameter field {path!r} leads to nothing") from None


def _step(at: Any, name: str, key: str, index: str) -> Any:
    if index:
        return at[int(index)]
    if key and isinstance(at, list):  # jobs are selected by their step's id
        return next(each for each in at if each.get("stepId") == key)
    return at[name or key]


def workflow_template(resource: Resource, arguments: dict[str, Any], machine: Machine) -> Attributes:
    """google_dataproc_workflow_template with a managed cluster, of which only the service account counts."""
    cluster = block(block(arguments, "placement"), "managed_cluster")
    said = {"placement": "there is no cluster: jobs run in Spark's local mode, with two threads"}
    honoured = {"name", "location", "jobs", "parameters"}
    honoured |= {"dag_timeout"}
    said |= {"encryption_config": "nothing is encrypted here"}
    say_unhonoured(machine, resource.type, arguments, honoured, said)
    project = arguments.get("project", machine.project)
    region = arguments.get("location", machine.region)
    name = f"projects/{project}/regions/{region}/workflowTemplates/{arguments['name']}"
    config = block(cluster, "config")
    account = block(config, "gce_cluster_config").get("service_account", "")
    software = block(config, "software_config").get("properties", {})
    spark = {key.removeprefix("spark:"): v for key, v in software.items() if key.startswith("spark:")}
    jobs = [_job(job) for job in blocks(arguments, "jobs")]
    parameters = [_parameter(each) for each in blocks(arguments, "parameters")]
    kept = {"name": name, "jobs": jobs, "parameters": parameters, "serviceAccount": account}
    kept["stagingBucket"] = config.get("staging_bucket", "")
    kept["dagTimeout"] = arguments.get("dag_timeout", TIMEOUT)
    kept["properties"] = spark  # what the cluster's own configuration would set for every job
    machine.service(Dataproc).templates.put(name, kept)
    return {"project": project} | arguments | {"id": name, "version": 1}


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


HANDLERS: dict[str, Handler] = {"google_dataproc_workflow_template": workflow_template}
