"""Read the TOML files of a folder of environments and check them."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from cdk.settings.environment import Settings
from cdk.settings.errors import SettingsError, format_choices
from cdk.settings.gbfs import CATALOGUE, SAVE_COMMAND, load_catalogue, resolve_systems
from cdk.settings.problems import find_problems
from cdk.settings.sections import EnvironmentFile
from cdk.settings.shape import check_keys, check_names, explain_validation_error
from gbfs import GbfsError
from gbfs.collection.systems import CollectedSystem


def load_environments(
    folder: Path, feeds: Iterable[str], *, feed: str | None = None, only: str | None = None
) -> dict[str, Settings]:
    """Read every `<environment>.toml` of a folder, sorted by name.

    `feeds` are the names that `feed` may have; `feed` replaces that of every environment; `only` keeps one
    environment. Raises SettingsError, also where names of two environments in one project would collide.
    """
    known = tuple(feeds)
    if feed is not None and feed not in known:
        raise SettingsError("the command line", "FEED", feed, format_choices(feed, known))
    files = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if only is not None and only not in files:
        raise SettingsError(folder, "environment", only, format_choices(only, files))
    if not files:
        raise SettingsError(
            folder, "environment", "no *.toml file", "one file per environment, such as dev.toml"
        )
    environments = {name: load_environment(path, known, feed=feed) for name, path in files.items()}
    owners: dict[str, str] = {}
    for name, settings in environments.items():
        if settings.shared_project:
            continue
        if (owner := owners.setdefault(settings.project, name)) != name:
            raise SettingsError(
                files[name],
                "project",
                settings.project,
                f"a project of its own, because {owner} has this one; or shared_project = true, which puts {name!r} "
                "into the names of all resources",
            )
    return {name: settings for name, settings in environments.items() if only in (None, name)}


def load_environment(file: Path, feeds: Iterable[str], *, feed: str | None = None) -> Settings:
    """Read and check one environment's file; see `load_environments`. Raises SettingsError."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(file, "file", error.strerror, "a file that can be read") from None
    except (ValueError, RecursionError) as error:  # also for a number of 5,000 digits, or nested as deep
        raise SettingsError(file, "syntax", str(error), "TOML 1.0") from None
    if feed is not None:
        document["feed"] = feed
    check_keys(file, document, EnvironmentFile, "")
    try:
        values = msgspec.convert(document, EnvironmentFile, strict=True)
    except msgspec.ValidationError as error:
        raise explain_validation_error(file, document, str(error)) from None
    check_names(file, values)
    for key, found, accepted in find_problems(values, tuple(feeds)):
        raise SettingsError(file, key, found, accepted)
    fields = {name: getattr(values, name) for name in EnvironmentFile.__struct_fields__}
    return Settings(environment=file.stem, gbfs_systems=_load_gbfs_systems(file, values), **fields)


def _load_gbfs_systems(file: Path, values: EnvironmentFile) -> tuple[CollectedSystem, ...]:
    if values.gbfs is None:
        return ()
    try:
        catalogue, source = load_catalogue(file.parent)
    except GbfsError as error:
        raise SettingsError(
            file.parent / CATALOGUE, "file", str(error), "a catalogue; " + SAVE_COMMAND
        ) from None
    systems, problems = resolve_systems(values.gbfs, catalogue, source)
    for key, found, accepted in problems:
        raise SettingsError(file, key, found, accepted)
    return systems
