"""The container of a Cloud Run service that listens on PORT, with a startup probe at /healthz."""

from collections.abc import Mapping

from cdktf_cdktf_provider_google.cloud_run_v2_service import (
    CloudRunV2ServiceTemplateContainers,
    CloudRunV2ServiceTemplateContainersEnv,
    CloudRunV2ServiceTemplateContainersPorts,
    CloudRunV2ServiceTemplateContainersResources,
    CloudRunV2ServiceTemplateContainersStartupProbe,
    CloudRunV2ServiceTemplateContainersStartupProbeHttpGet,
)

PORT = 8080
LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"


def service_container(
    image: str, environment: Mapping[str, str], *, cpu: str, memory: str
) -> CloudRunV2ServiceTemplateContainers:
    """Return a container with CPU only during requests; `cpu` and `memory` are its limits."""
    return CloudRunV2ServiceTemplateContainers(
        image=image,
        ports=CloudRunV2ServiceTemplateContainersPorts(container_port=PORT),
        resources=CloudRunV2ServiceTemplateContainersResources(
            limits={"cpu": cpu, "memory": memory},
            cpu_idle=True,
            startup_cpu_boost=True,
        ),
        env=[
            CloudRunV2ServiceTemplateContainersEnv(name=name, value=value)
            for name, value in environment.items()
        ],
        startup_probe=CloudRunV2ServiceTemplateContainersStartupProbe(
            http_get=CloudRunV2ServiceTemplateContainersStartupProbeHttpGet(path="/healthz", port=PORT),
            initial_delay_seconds=0,
            period_seconds=2,
            timeout_seconds=1,
            failure_threshold=30,
        ),
    )
