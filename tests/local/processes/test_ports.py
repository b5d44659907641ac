"""Reserved ports stay reserved for this process: no other program gets one."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.errors import LocalError
from local.processes.ports import LOOPBACK, free_port, port_ready_check, reserve_port
from local.processes.supervisor import Supervisor

pytestmark = pytest.mark.local

PROBE = """
import socket, sys
sockets = [socket.socket() for _ in range(2000)]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))
"""


def test_free_ports_are_free_and_different() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert not any(port_ready_check(port)() for port in ports)


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a reserved port is kept from our own programs too"
)
def test_a_free_port_is_reserved_against_other_programs() -> None:
    """Tries many times more ports than a collision by chance would need."""
    ours = {free_port() for _ in range(2000)}
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert ours.isdisjoint(map(int, done.stdout.split()))


def test_our_own_program_listens_on_a_reserved_port(supervisor: Supervisor, tmp_path: Path) -> None:
    port = free_port()
    assert reserve_port(port, "web") == port  # given already
    argv = [sys.executable, "-m", "http.server", "--bind", LOOPBACK, str(port)]
    supervisor.start("web", argv, env={}, cwd=tmp_path, log=tmp_path / "log", ready=port_ready_check(port))
    assert port_ready_check(port)()


def test_a_reserved_port_that_another_program_uses_is_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        expected = (
            f"service copier cannot listen on 127.0.0.1:{port}, where an earlier run had it: "
            "Address already in use"
        )
        with pytest.raises(LocalError, match=f"^{re.escape(expected)}; .*`ss -ltnp 'sport = :{port}'`"):
            reserve_port(port, "service copier")
