"""Simulate 1,000 GBFS systems on the loopback interface, with versions, sizes and failures of public ones.

`python -m bench.gbfs.server FILE` writes the URLs of station_status by system as JSON, and serves until terminated.
"""

import asyncio
import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

from local.feeds.gbfs_system import SimulatedSystem
from local.processes.ports import LOOPBACK

SYSTEMS = 1_000
STATIONS = 130_000
MINUTE = datetime(2026, 5, 1, 10, tzinfo=UTC)
# Number of systems by newest published version, in the catalogue of July 2026.
VERSIONS = {"2.3": 722, "3.0": 558, "2.2": 190, "1.1": 29, "1.0": 15, "2.0": 4, "2.1": 1}
LARGEST = (14_221, 12_100, 2_406, 1_999, 1_511)
# Systems of the largest hosts; the other systems are distributed evenly over the other hosts.
HOSTS, LARGEST_HOSTS = 133, (228, 133)
# Outcomes of 1,000 requests: an audit of May 2026 found 15 % HTTP errors.
OUTCOMES = {"ok": 820, "error": 150, "too_many": 20, "hang": 10}
HANG_S = 3_600.0


def generate_sizes(dice: random.Random) -> list[int]:
    """Return the number of stations of each system: the largest as published, the others with a median of 60."""
    others = [round(dice.lognormvariate(4.1, 0.9)) for _ in range(SYSTEMS - len(LARGEST))]
    scale = (STATIONS - sum(LARGEST)) / sum(others)
    return [*LARGEST, *(max(1, round(each * scale)) for each in others)]


def assign_hosts() -> list[int]:
    """Return the index of the host of each system."""
    numbers = [host for host, count in enumerate(LARGEST_HOSTS) for _ in range(count)]
    rest = HOSTS - len(LARGEST_HOSTS)
    return numbers + [len(LARGEST_HOSTS) + number % rest for number in range(SYSTEMS - len(numbers))]


async def serve(file: Path, seed: int = 0) -> None:
    """Serve the systems, each on the port of its host."""
    dice = random.Random(seed)  # noqa: S311
    versions = dice.choices(list(VERSIONS), list(VERSIONS.values()), k=SYSTEMS)
    outcomes = [outcome for outcome, count in OUTCOMES.items() for _ in range(count * SYSTEMS // 1_000)]
    dice.shuffle(outcomes)
    bodies, order = {}, list(range(SYSTEMS))
    for number, (version, stations) in enumerate(zip(versions, generate_sizes(dice), strict=True)):
        system = SimulatedSystem(f"s{number}", f"System {number}", version, stations)
        bodies[number] = system.document("station_status", MINUTE, "https://example.org/")
    dice.shuffle(order)

    async def handle_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            number = int(head.split(b" ", 2)[1].strip(b"/"))
            # A median of 0.3 s, 0.9 s at the 95th percentile.
            await asyncio.sleep(min(dice.lognormvariate(-1.2, 0.67), 19.7))
            outcome = outcomes[number]
            if outcome == "hang":
                await asyncio.sleep(HANG_S)
            status = {"ok": b"200 OK", "error": b"503 Unavailable"}.get(outcome, b"429 Too Many Requests")
            body = bodies[number] if outcome == "ok" else b""
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
            )
            writer.write(body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    servers = [await asyncio.start_server(handle_request, LOOPBACK, 0, backlog=512) for _ in range(HOSTS)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    urls = {
        f"s{number}": f"http://{LOOPBACK}:{ports[host]}/{number}"
        for number, host in zip(order, assign_hosts(), strict=True)
    }
    part = file.with_suffix(".part")
    part.write_text(json.dumps(urls))
    part.replace(file)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
