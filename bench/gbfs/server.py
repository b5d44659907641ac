"""Serve 1,000 GBFS systems on the loopback interface, with the response times and failures of public ones.

`python -m bench.gbfs.server FILE` writes the URLs of station_status by system as JSON, and serves until terminated.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

from bench.gbfs.systems import HOSTS, MINUTE, SYSTEMS, assign_hosts, generate_systems
from local.processes.ports import LOOPBACK

HANG_S = 3_600.0


async def serve(file: Path, seed: int = 0) -> None:
    """Serve the systems, each on the port of its host."""
    rng = random.Random(seed)  # noqa: S311
    systems = generate_systems(rng)
    bodies = [each.system.document("station_status", MINUTE, "https://example.org/") for each in systems]
    order = list(range(SYSTEMS))
    rng.shuffle(order)

    async def handle_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            number = int(head.split(b" ", 2)[1].strip(b"/"))
            # A median of 0.3 s, 0.9 s at the 95th percentile.
            await asyncio.sleep(min(rng.lognormvariate(-1.2, 0.67), 19.7))
            outcome = systems[number].outcome
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
