"""Dataproc's workflow templates: their REST resources, parameters, and the order of their jobs."""

import copy
import re
from graphlib import CycleError, TopologicalSorter
from typing import Any

from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.errors import LocalError
from local.stack.arguments import as_arguments, as_rest, get_block, get_blocks, report_unsupported_arguments

TYPE = "google_dataproc_workflow_template"
TIMEOUT = "3600s"
STEP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
FIELD = re.compile(r"\.?([A-Za-z]\w*)|\['([^']+)'\]|\[(\d+)\]")


def substitute_parameters(template: Json, parameters: dict[str, str]) -> list[Json]:
    """Return a template's jobs in the order of their prerequisites, with the parameters substituted.

    Raises LocalError, as Dataproc refuses it, for a missing, unknown or disallowed parameter, or a cycle of
    prerequisites.
    """
    declared = {each["name"]: each for each in template.get("parameters", ())}
    missing, unknown = (
        sorted(declared.keys() - parameters.keys()),
        sorted(parameters.keys() - declared.keys()),
    )
    if missing or unknown:
        problems = [
            f"{kind}: {', '.join(names)}"
            for kind, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        raise LocalError(
            f"{_template_name(template)} takes the parameters {', '.join(declared) or 'none'}; {'; '.join(problems)}"
        )
    filled = copy.deepcopy(template)
    for name, value in parameters.items():
        _check_allowed(declared[name], value)
        for path in declared[name]["fields"]:
            _set_field(filled, path, value)
    return _sort_jobs(filled["jobs"])


def _template_name(template: Json) -> str:
    return str(template.get("name", "the inline template"))


def _sort_jobs(jobs: list[Json]) -> list[Json]:
    """Return the jobs, each after its prerequisites. Raises LocalError."""
    steps = {str(job.get("stepId", "")): job for job in jobs}
    if not jobs or "" in steps or len(steps) < len(jobs):
        found = ", ".join(repr(job.get("stepId")) for job in jobs) or "no job"
        raise LocalError(f"jobs: expected at least one, each with a unique stepId, found {found}")
    if wrong := [step for step in steps if not STEP_ID.fullmatch(step)]:  # folders and logs are named by it
        raise LocalError(f"jobs: a stepId has at most 50 letters, digits, - and _, found {wrong[0]!r}")
    order = TopologicalSorter({step: job.get("prerequisiteStepIds", ()) for step, job in steps.items()})
    try:
        names = list(order.static_order())
    except CycleError as error:
        raise LocalError(f"jobs: {' → '.join(error.args[1])} depend on one another in a cycle") from None
    if unknown := [name for name in names if name not in steps]:
        raise LocalError(
            f"jobs: the prerequisite {unknown[0]} is not a step of the template: {', '.join(steps)}"
        )
    return [steps[name] for name in names]


def check_job(job: Json) -> None:
    """Raise LocalError where a file or an argument of a PySpark job is not a text."""
    if (spark := job.get("pysparkJob")) is None:
        return
    texts = [spark.get("mainPythonFileUri"), *spark.get("args", ()), *spark.get("pythonFileUris", ())]
    if not all(isinstance(text, str) for text in texts):
        raise LocalError(
            f"step {job['stepId']}: mainPythonFileUri, args and pythonFileUris must be texts, found {texts}"
        )


def _check_allowed(declared: Json, value: Any) -> None:
    if not isinstance(value, str):
        raise LocalError(f"parameter {declared['name']} must be a string, found {value!r}")
    validation = declared.get("validation", {})
    allowed = validation.get("values", {}).get("values")
    if allowed is not None and value not in allowed:
        raise LocalError(f"parameter {declared['name']} must be one of {', '.join(allowed)}, found {value!r}")
    patterns = validation.get("regex", {}).get("regexes")
    if patterns and not any(re.fullmatch(pattern, value) for pattern in patterns):
        raise LocalError(f"parameter {declared['name']} must match {' or '.join(patterns)}, found {value!r}")


def _set_field(template: Json, path: str, value: str) -> None:
    """Set the field at a path such as `jobs['rebuild'].pysparkJob.args[3]`."""
    tokens = FIELD.findall(path)
    if "".join(m[0] for m in FIELD.finditer(path)) != path or len(tokens) < 2:
        raise LocalError(f"{_template_name(template)}: parameter field {path!r} is not supported")
    at: Any = template
    try:
        for name, key, index in tokens[:-1]:
            at = _descend(at, name, key, index)
        name, key, index = tokens[-1]
        where: Any = int(index) if index else name or key
        at[where]  # raises where the template has no such field
        at[where] = value
    except (KeyError, IndexError, TypeError, StopIteration):
        raise LocalError(f"{_template_name(template)}: parameter field {path!r} does not exist") from None


def _descend(at: Any, name: str, key: str, index: str) -> Any:
    if index:
        return at[int(index)]
    if key and isinstance(at, list):  # jobs are selected by step ID
        return next(each for each in at if each.get("stepId") == key)
    return at[name or key]


def as_terraform_arguments(template: Json) -> dict[str, Any]:
    """Return a template's REST resource with the names of Terraform's arguments."""
    arguments: dict[str, Any] = as_arguments(template)
    config = get_block(get_block(get_block(arguments, "placement"), "managed_cluster"), "config")
    if "config_bucket" in config:  # the only one with another name
        config["staging_bucket"] = config.pop("config_bucket")
    return arguments


def inline_template(template: Json, environment: LocalEnvironment) -> Json:
    """Return the stored form of an inline template. Raises LocalError where Dataproc would refuse it."""
    arguments = as_terraform_arguments(template)
    if not get_block(get_block(arguments, "placement"), "managed_cluster"):
        raise LocalError("the inline template has no placement.managedCluster")
    return template_resource(arguments, environment)


def template_resource(arguments: dict[str, Any], environment: LocalEnvironment) -> Json:
    """Return the used parts of a template: its jobs and parameters, and the settings of its cluster."""
    cluster = get_block(get_block(arguments, "placement"), "managed_cluster")
    unsupported = {"placement": "there is no cluster: jobs run in Spark's local mode, with two threads"}
    supported = {"name", "location", "jobs", "parameters"}
    supported |= {"dag_timeout"}
    unsupported |= {"encryption_config": "nothing is encrypted"}
    report_unsupported_arguments(environment, TYPE, arguments, supported, unsupported)
    config = get_block(cluster, "config")
    software = get_block(config, "software_config").get("properties", {})
    spark = {key.removeprefix("spark:"): v for key, v in software.items() if key.startswith("spark:")}
    return {
        "jobs": [_job(job) for job in get_blocks(arguments, "jobs")],
        "parameters": [_parameter(each) for each in get_blocks(arguments, "parameters")],
        "serviceAccount": get_block(config, "gce_cluster_config").get("service_account", ""),
        "stagingBucket": config.get("staging_bucket", ""),
        "dagTimeout": arguments.get("dag_timeout", TIMEOUT),
        "properties": spark,  # what the cluster's configuration sets for every job
    }


def _job(job: dict[str, Any]) -> Json:
    rest: Json = as_rest({key: value for key, value in job.items() if not key.endswith("_job")})
    for kind in (key for key in job if key.endswith("_job")):
        inner = dict(get_block(job, kind))
        properties = inner.pop("properties", {})  # Spark's property names stay as they are
        rest[as_rest({kind: 0}).popitem()[0]] = as_rest(inner) | {"properties": properties}
    return rest


def _parameter(parameter: dict[str, Any]) -> Json:
    validation = get_block(parameter, "validation")
    checks = {
        kind: get_block(validation, kind) for kind in ("regex", "values") if get_block(validation, kind)
    }
    return {"name": parameter["name"], "fields": list(parameter["fields"])} | (
        {"validation": checks} if checks else {}
    )
