"""Cloud Run: a service runs from the source archive of its image, as the Dockerfile says.

The image's tag is the beginning of the archive's SHA-256, so the archive is the stack's object whose content has that
digest. The packages that the Dockerfile's RUN installs are those of the host's Python environment.
"""

import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.services.storage import Storage
from local.stack.applying import Attributes, Handler
from local.stack.arguments import get_block, get_blocks, report_unsupported_arguments
from local.stack.loading import Resource
from local.workloads.workloads import Workloads, list_objects, read_object, unpack_archive

START_DEADLINE_S = 60.0
CONCURRENCY = 80  # Cloud Run's default of concurrent requests per instance
TEMPLATE_UNSUPPORTED = {
    "vpc_access": "there is no VPC",
    "execution_environment": "it is a process of this host",
    "volumes": "volumes are not mounted",
    "session_affinity": "there is one instance",
    "encryption_key": "nothing is encrypted",
    "revision": "there is one revision",
}
CONTAINER_UNSUPPORTED = {
    "resources": "memory and CPU time are not limited",
    "liveness_probe": "a process that ends is restarted, but it is not probed",
    "volume_mounts": "volumes are not mounted",
    "working_dir": "it runs in the unpacked source archive",
}
SERVICE_UNSUPPORTED = {
    "ingress": "only this host can reach it",
    "traffic": "there is one revision",
    "binary_authorization": "there is no image",
    "custom_audiences": "the audience of an identity token must be the service's URL",
    "invoker_iam_disabled": "callers need the invoker role all the same",
    "scaling": "there is one instance",
    "launch_stage": "it has no effect",
    "default_uri_disabled": "the URL is the only one",
}


@dataclass(frozen=True)
class DockerImage:
    """The parts of a Dockerfile that say how its image runs."""

    command: tuple[str, ...]
    env: dict[str, str]
    workdir: str


def service(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_cloud_run_v2_service with one container."""
    template = get_block(arguments, "template")
    containers = get_blocks(template, "containers")
    if len(containers) != 1:
        raise LocalError(f"expected one container, found {len(containers)}")
    _report_unsupported(resource.type, arguments, template, containers[0], environment)
    project, location = (
        arguments.get("project", environment.project),
        arguments.get("location", environment.region),
    )
    name = arguments["name"]
    folder = environment.folder / "services" / name
    unpack_archive(*_download_source(environment, containers[0]["image"], folder))
    full = f"projects/{project}/locations/{location}/services/{name}"
    url = _start(environment, full, template, containers[0], folder)
    computed = {
        "id": full,
        "uri": url,
        "urls": [url],
        "latest_ready_revision": f"{full}/revisions/{name}-00001",
    }
    return {"project": project, "location": location} | arguments | computed


def parse_dockerfile(text: str, name: str) -> DockerImage:
    """Return how the last stage of a Dockerfile runs.

    Raises LocalError, with `name`, where it has neither CMD nor ENTRYPOINT in exec form.
    """
    env: dict[str, str] = {}
    commands: dict[str, tuple[str, ...]] = {}
    workdir = "/"
    for line in re.sub(r"\\\r?\n", " ", re.sub(r"(?m)^\s*#.*\n?", "", text)).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        match instruction.upper():
            case "FROM":
                env, commands, workdir = {}, {}, "/"
            case "ENV":
                env |= _parse_env(rest.strip())
            case "WORKDIR":
                workdir = rest.strip()
            case "CMD" | "ENTRYPOINT" as kind:
                commands[kind] = _parse_exec_form(rest, kind, name)
    command = commands.get("ENTRYPOINT", ()) + commands.get("CMD", ())
    if not command:
        raise LocalError(f'{name}: expected a CMD in exec form such as ["gunicorn", …], found none')
    return DockerImage(command, env, workdir)


def _download_source(environment: LocalEnvironment, image: str, folder: Path) -> tuple[bytes, Path, str]:
    """Return the content of an image's source archive, the folder to unpack it into, and its name."""
    tag = image.rpartition(":")[2]
    if not re.fullmatch(r"[0-9a-f]{12,64}", tag):
        raise LocalError(f"image {image}: expected a tag that is the beginning of its source's SHA-256")
    buckets = environment.service(Storage).buckets.names()
    found = [
        (b, str(o["name"])) for b in buckets for o in list_objects(environment, b) if tag in str(o["name"])
    ]
    for bucket, name in found:
        content = read_object(environment, bucket, name)
        if hashlib.sha256(content).hexdigest().startswith(tag):
            return content, folder, f"gs://{bucket}/{name}"
    raise LocalError(
        f"image {image}: no object of {', '.join(buckets) or 'any bucket'} has {tag} in its name and at "
        "the beginning of its SHA-256, so there is no source to run"
    )


def _start(
    environment: LocalEnvironment,
    service: str,
    template: dict[str, Any],
    container: dict[str, Any],
    folder: Path,
) -> str:
    name = service.rpartition("/")[2]
    dockerfile = folder / "Dockerfile"
    image = parse_dockerfile(dockerfile.read_text() if dockerfile.exists() else "", f"{name}: Dockerfile")
    workloads = environment.service(Workloads)
    declared = {each["name"]: str(each.get("value", "")) for each in get_blocks(container, "env")}
    # The image's paths are replaced by the unpacked archive; its PATH would hide the host's programs.
    inside = {
        key: value.replace(image.workdir, str(folder)) if image.workdir != "/" else value
        for key, value in image.env.items()
        if key not in ("PATH", "PYTHONPATH", "HOME")
    }
    account = template.get("service_account", "")
    env = workloads.variables(f"service {name}", inside | declared, account)
    platform = {
        "K_SERVICE": name,
        "K_REVISION": f"{name}-00001",
        "K_CONFIGURATION": name,
        "HOST": "127.0.0.1",
    }
    probe = get_block(get_block(container, "startup_probe"), "http_get")
    command = [*container.get("command", ()), *container.get("args", ())] or list(image.command)
    return workloads.start(
        f"service {name}",
        lambda port: [_expand_port(word, port) for word in command],
        env | platform,
        folder,
        service=service,
        ready_path=probe.get("path", "/"),
        max_concurrency=int(template.get("max_instance_request_concurrency", CONCURRENCY)),
        deadline_s=START_DEADLINE_S,
    )


def _expand_port(word: str, port: int) -> str:
    return word.replace("$PORT", str(port)).replace("${PORT}", str(port))


def _parse_env(rest: str) -> dict[str, str]:
    """Parse `KEY=value KEY="other value"`, or the old form `KEY value`."""
    words = shlex.split(rest)
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return dict(word.split("=", 1) for word in words)


def _parse_exec_form(rest: str, kind: str, name: str) -> tuple[str, ...]:
    try:
        words = json.loads(rest)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise LocalError(
            f'{name}: {kind} must be in exec form such as ["gunicorn", …], found {rest.strip()!r}'
        )
    return tuple(words)


def _report_unsupported(
    kind: str,
    arguments: dict[str, Any],
    template: dict[str, Any],
    container: dict[str, Any],
    environment: LocalEnvironment,
) -> None:
    top = {"name", "location", "template", "deletion_protection"}
    inside = {"containers", "service_account", "timeout", "max_instance_request_concurrency", "scaling"}
    run = {"image", "env", "ports", "startup_probe", "command", "args", "name"}
    report_unsupported_arguments(environment, kind, arguments, top, SERVICE_UNSUPPORTED)
    report_unsupported_arguments(environment, f"{kind}.template", template, inside, TEMPLATE_UNSUPPORTED)
    report_unsupported_arguments(
        environment, f"{kind}.template.containers", container, run, CONTAINER_UNSUPPORTED
    )


HANDLERS: dict[str, Handler] = {"google_cloud_run_v2_service": service}
