"""Simulated GBFS systems in place of an environment's: a local run may be faster than public servers allow."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gbfs.collection.systems import SYSTEMS_FILE, read_systems, write_systems
from local.feeds.gbfs_system import SimulatedServer, SimulatedSystem, serve_system

VERSIONS = (
    "1.1",
    "2.3",
    "3.0",
)  # assigned in turn: a system's version is known only after discovery
STATIONS = 60  # the median of public systems


class SimulatedSystems:
    """Simulates the systems in a function's archive, with one server for each."""

    def __init__(
        self, now: Callable[[], datetime], closing_stack: ExitStack, print_line: Callable[[str], None]
    ) -> None:
        self._now, self._stack, self._print_line = now, closing_stack, print_line
        self.servers: dict[str, SimulatedServer] = {}

    def replace_systems(self, folder: Path) -> None:
        """Replace the discovery URLs in an unpacked archive's systems.json; do nothing where it has no such file."""
        file = folder / SYSTEMS_FILE
        if not file.is_file():
            return
        systems = read_systems(file.read_bytes())
        for number, system in enumerate(systems):
            if system.system_id not in self.servers:
                version = VERSIONS[number % len(VERSIONS)]
                simulated = SimulatedSystem(system.system_id, system.name, version, STATIONS)
                server = serve_system(simulated, self._now)
                self.servers[system.system_id] = self._stack.enter_context(closing(server))
        urls = {system_id: server.url_of("gbfs") for system_id, server in self.servers.items()}
        file.write_bytes(write_systems(replace(each, discovery_url=urls[each.system_id]) for each in systems))
        self._print_line(f"GBFS systems: {len(systems)} simulated, with {STATIONS} stations each")
