"""One environment as one stack: one plan to review, no state shared between stacks."""

from collections.abc import Mapping
from pathlib import Path

from constructs import Construct

from cdk.artifacts.packaging import compute_digest
from cdk.artifacts.spark_packages import build_packages_zip
from cdk.artifacts.workloads import (
    build_batch_artifact,
    build_collector_artifact,
    build_copier_artifact,
    build_dashboard_artifact,
    build_gbfs_collector_artifact,
    read_batch_main,
)
from cdk.environment_stack import EnvironmentStack
from cdk.operations.budget import ProjectBudget
from cdk.operations.monitoring import Monitoring
from cdk.operations.outputs import declare_outputs
from cdk.operations.scheduling import Scheduling
from cdk.resources.identities import Identities
from cdk.resources.storage import Storage
from cdk.resources.upload import Upload
from cdk.resources.views import Views
from cdk.resources.warehouse import Warehouse
from cdk.settings import DATAPROC_PYTHON, Settings
from cdk.workloads.archiving import Archiving
from cdk.workloads.batch import Batch
from cdk.workloads.build import Build
from cdk.workloads.collection import Collection
from cdk.workloads.dashboard import Dashboard
from cdk.workloads.gbfs_collection import GbfsCollection
from feed import Feed


class VlilleStack(EnvironmentStack):
    """Everything of `vlille-<environment>`, from the topic to the alerts."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        feeds: Mapping[str, Feed],
        *,
        sources: Path,
        cache: Path,
        adopt: Mapping[str, str],
    ) -> None:
        super().__init__(scope, settings, settings.stack, adopt)
        identities = Identities(self, settings)
        storage = Storage(self, settings)
        warehouse = Warehouse(self, settings, feeds)
        upload = Upload(self, storage, cache / "artifacts")
        build = Build(self, settings, identities, storage)

        function_zip = build_collector_artifact(feeds[settings.feed], sources)
        collection = Collection(
            self,
            settings,
            feeds[settings.feed],
            identities=identities,
            storage=storage,
            warehouse=warehouse,
            build=build,
            source=upload.artifact("collector", function_zip),
        )
        copier_zip = build_copier_artifact(feeds.values(), sources)
        archiving = Archiving(
            self,
            settings,
            identities=identities,
            storage=storage,
            build=build,
            source=upload.artifact("copier", copier_zip),
            source_sha256=copier_zip.sha256,
        )
        main = read_batch_main()
        packages = build_packages_zip(DATAPROC_PYTHON[settings.batch.image], cache)
        batch = Batch(
            self,
            settings,
            identities=identities,
            storage=storage,
            warehouse=warehouse,
            main=upload.content("batch_main", f"main-{compute_digest(main)[:16]}.py", main),
            packages=[
                upload.artifact("batch_code", build_batch_artifact(feeds.values(), sources)),
                upload.file("batch_packages", packages),
            ],
        )
        views = Views(
            self, settings, feeds[settings.feed], warehouse=warehouse, table_editor=batch.table_editor
        )
        dashboard = None
        if settings.dashboard is not None:
            dashboard_zip = build_dashboard_artifact()
            dashboard = Dashboard(
                self,
                settings,
                settings.dashboard,
                feeds[settings.feed],
                identities=identities,
                views=views,
                build=build,
                source=upload.artifact("dashboard", dashboard_zip),
                source_sha256=dashboard_zip.sha256,
            )
        Scheduling(
            self,
            settings,
            identities=identities,
            collection=collection,
            archiving=archiving,
            batch=batch,
        )
        gbfs = None
        if settings.gbfs is not None:
            gbfs = GbfsCollection(
                self,
                settings,
                settings.gbfs,
                identities=identities,
                storage=storage,
                warehouse=warehouse,
                build=build,
                source=upload.artifact(
                    "gbfs_collector", build_gbfs_collector_artifact(settings.gbfs_systems)
                ),
            )
        monitoring = Monitoring(self, settings, storage=storage, collection=collection, gbfs=gbfs)
        if settings.budget is not None:
            ProjectBudget(
                self,
                settings.budget,
                title=settings.title,
                project=identities.project,
                channel=monitoring.channel,
            )
        declare_outputs(
            self,
            settings,
            storage=storage,
            warehouse=warehouse,
            views=views,
            dashboard=dashboard,
            collection=collection,
            archiving=archiving,
            batch=batch,
        )
