"""Cloud Functions (2nd gen): a function's source archive, run by functions-framework.

The variables that the platform sets: https://cloud.google.com/functions/docs/configuring/env-var
"""

import os
from typing import Any

from local.environment.environment import LocalEnvironment
from local.iam_proxy.storage import object_resource
from local.stack.applying import Attributes, Handler
from local.stack.arguments import get_block, report_unsupported_arguments
from local.stack.loading import Resource
from local.workloads.builds import check_build
from local.workloads.workloads import Workloads, read_object, unpack_archive

START_DEADLINE_S = 60.0
# A route of functions-framework that does not call the function.
READY_PATH = "/robots.txt"
BUILD_SUPPORTED = {"entry_point", "source", "runtime"}
BUILD_UNSUPPORTED = {
    "runtime": "it runs on the Python of the host",
    "service_account": "nothing is built, but its permissions are checked",
    "docker_repository": "nothing is built",
    "environment_variables": "nothing is built",
    "automatic_update_policy": "it runs on the Python of the host",
    "on_deploy_update_policy": "it runs on the Python of the host",
}
SERVICE_SUPPORTED = {
    "environment_variables",
    "service_account_email",
    "max_instance_count",
    "max_instance_request_concurrency",
    "timeout_seconds",
}
SERVICE_UNSUPPORTED = {
    "available_memory": "memory is not limited",
    "available_cpu": "CPU time is not limited",
    "min_instance_count": "there is always one instance",
    "ingress_settings": "only this host can reach it",
    "all_traffic_on_latest_revision": "there is one revision",
    "vpc_connector": "there is no VPC",
    "vpc_connector_egress_settings": "there is no VPC",
    "direct_vpc_network_interface": "there is no VPC",
    "direct_vpc_egress": "there is no VPC",
    "secret_environment_variables": "there is no Secret Manager",
    "secret_volumes": "there is no Secret Manager",
}


def function(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_cloudfunctions2_function with an HTTP trigger."""
    build, service = get_block(arguments, "build_config"), get_block(arguments, "service_config")
    _report_unsupported(resource.type, arguments, build, service, environment)
    project = arguments.get("project", environment.project)
    name, location = arguments["name"], arguments.get("location", environment.region)
    source = get_block(get_block(build, "source"), "storage_source")
    folder = environment.folder / "functions" / name
    archive = f"gs://{source['bucket']}/{source['object']}"
    unpack_archive(read_object(environment, source["bucket"], source["object"]), folder, archive)
    environment.service(Workloads).prepare(folder)
    service_name = f"projects/{project}/locations/{location}/services/{name}"
    _check_build(environment, name, build, location)
    url = _start(environment, service_name, build["entry_point"], service)
    computed = {"uri": url, "service": service_name, "gcf_uri": url}
    return (
        {"project": project}
        | arguments
        | {
            "id": f"projects/{project}/locations/{location}/functions/{name}",
            "url": url,
            "state": "ACTIVE",
            "environment": "GEN_2",
            "build_config": [build],
            "service_config": [service | computed],
        }
    )


def _check_build(environment: LocalEnvironment, name: str, build: dict[str, Any], location: str) -> None:
    """Raise LocalError where the build service account could not build; the local run builds nothing, but checks this.

    Cloud Functions copies the source into a bucket of its own, and builds from there:
    https://cloud.google.com/functions/docs/securing/build-custom-sa
    """
    if account := str(build.get("service_account", "")).rpartition("/")[2]:
        bucket = f"gcf-v2-sources-{environment.project_number}-{location}"
        source = object_resource(bucket, f"{name}/version-1/function-source.zip")
        check_build(environment, account, source, str(build.get("docker_repository", "")))


def _start(environment: LocalEnvironment, service_name: str, target: str, service: dict[str, Any]) -> str:
    name = service_name.rpartition("/")[2]
    workloads = environment.service(Workloads)
    declared = {key: str(value) for key, value in service.get("environment_variables", {}).items()}
    # A simulated API requires no key; a real API's key is read from the environment.
    secrets = [str(each["key"]) for each in service.get("secret_environment_variables") or []]
    declared |= {key: os.environ.get(key, "no-secret-on-this-host") for key in secrets}
    platform = {
        "K_SERVICE": name,
        "K_REVISION": f"{name}-00001",
        "K_CONFIGURATION": name,
        "FUNCTION_TARGET": target,
        "FUNCTION_SIGNATURE_TYPE": "http",
        "CLOUD_RUN_TIMEOUT_SECONDS": str(service.get("timeout_seconds", 60)),
    }
    env = workloads.variables(f"function {name}", declared, service.get("service_account_email", ""))
    framework = [str(environment.python), "-m", "functions_framework", "--target", target]
    # `python -m` puts the working directory, which has the archive's content, first on the import path.
    options = ["--source", "main.py", "--signature-type", "http", "--host", "127.0.0.1", "--port"]
    return workloads.start(
        f"function {name}",
        lambda port: [*framework, *options, str(port)],
        env | platform,
        environment.folder / "functions" / name,
        service=service_name,
        ready_path=READY_PATH,
        max_concurrency=int(service.get("max_instance_count", 100))
        * int(service.get("max_instance_request_concurrency", 1)),
        deadline_s=START_DEADLINE_S,
    )


def _report_unsupported(
    kind: str,
    arguments: dict[str, Any],
    build: dict[str, Any],
    service: dict[str, Any],
    environment: LocalEnvironment,
) -> None:
    top = {"name", "location", "build_config", "service_config"}
    unsupported = {
        "event_trigger": "it is called over HTTP only: there is no Eventarc",
        "kms_key_name": "not encrypted",
    }
    report_unsupported_arguments(environment, kind, arguments, top, unsupported)
    report_unsupported_arguments(
        environment, f"{kind}.build_config", build, BUILD_SUPPORTED, BUILD_UNSUPPORTED
    )
    report_unsupported_arguments(
        environment, f"{kind}.service_config", service, SERVICE_SUPPORTED, SERVICE_UNSUPPORTED
    )


HANDLERS: dict[str, Handler] = {"google_cloudfunctions2_function": function}
