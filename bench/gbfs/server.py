"""Plays 1,000 GBFS systems on the loopback interface, as public ones are: versions, sizes, response times, failures.

`python -m bench.gbfs.server FILE` writes the URL of each system's station_status as JSON and serves until it is ended.
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
# Systems by the newest version that they publish, of the catalogue of July 2026.
VERSIONS = {"2.3": 722, "3.0": 558, "2.2": 190, "1.1": 29, "1.0": 15, "2.0": 4, "2.1": 1}
LARGEST = (14_221, 12_100, 2_406, 1_999, 1_511)
# Systems of the hosts that have most; each other host has the same share of the rest.
HOSTS, LARGEST_HOSTS = 133, (228, 133)
# What happens to a response, for each of 1,000: an audit of May 2026 found 15 % that answered with an HTTP error.
FATES = {"ok": 820, "error": 150, "too_many": 20, "hang": 10}
HANG_S = 3_600.0


def sizes(dice: random.Random) -> list[int]:
    """Return the number of stations of each system: the largest as they are, the others around a median of 60."""
    others = [round(dice.lognormvariate(4.1, 0.9)) for _ in range(SYSTEMS - len(LARGEST))]
    scale = (STATIONS - sum(LARGEST)) / sum(others)
    return [*LARGEST, *(max(1, round(each * scale)) for each in others)]


def host_numbers() -> list[int]:
    """Return the number of the host of each system."""
    numbers = [host for host, count in enumerate(LARGEST_HOSTS) for _ in range(count)]
    rest = HOSTS - len(LARGEST_HOSTS)
    return numbers + [len(LARGEST_HOSTS) + number % rest for number in range(SYSTEMS - len(numbers))]


async def serve(file: Path, seed: int = 0) -> None:
    """Serve the systems, each on the port of its host."""
    dice = random.Random(seed)  # noqa: S311
    versions = dice.choices(list(VERSIONS), list(VERSIONS.values()), k=SYSTEMS)
    fates = [fate for fate, count in FATES.items() for _ in range(count * SYSTEMS // 1_000)]
    dice.shuffle(fates)
    bodies, order = {}, list(range(SYSTEMS))
    for number, (version, stations) in enumerate(zip(versions, sizes(dice), strict=True)):
        system = SimulatedSystem(f"s{number}", f"System {number}", version, stations)
        bodies[number] = system.document("station_status", MINUTE, "https://example.org/")
    dice.shuffle(order)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            number = int(head.split(b" ", 2)[1].strip(b"/"))
            # A median of 0.3 s, 0.9 s at the 95th percentile.
            await asyncio.sleep(min(dice.lognormvariate(-1.2, 0.67), 19.7))
            fate = fates[number]
            if fate == "hang":
                await asyncio.sleep(HANG_S)
            status = {"ok": b"200 OK", "error": b"503 Unavailable"}.get(fate, b"429 Too Many Requests")
            body = bodies[number] if fate == "ok" else b""
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
            )
            writer.write(body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    servers = [await asyncio.start_server(answer, LOOPBACK, 0, backlog=512) for _ in range(HOSTS)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    urls = {
        f"s{number}": f"http://{LOOPBACK}:{ports[host]}/{number}"
        for number, host in zip(order, host_numbers(), strict=True)
    }
    part = file.with_suffix(".part")
    part.write_text(json.dumps(urls))
    part.replace(file)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
