"""Real child processes: started, watched, killed, restarted, and never left running."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from local.errors import AlreadyRunningError, LocalError, ProcessError
from local.processes.ports import free_port, http_ready_check, port_ready_check
from local.processes.records import end_orphaned_processes
from local.processes.supervisor import Process, Supervisor

pytestmark = pytest.mark.local

ENV = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).parents[3]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def serve(
    supervisor: Supervisor, folder: Path, *, restart: bool = False, name: str = "web"
) -> tuple[Process, int]:
    port = free_port()
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    process = supervisor.start(
        name,
        argv,
        env=ENV,
        cwd=folder,
        log=folder / f"{name}.log",
        ready=port_ready_check(port),
        restart=restart,
    )
    return process, port


def test_start_returns_when_ready_and_stop_ends_it(supervisor: Supervisor, tmp_path: Path) -> None:
    process, port = serve(supervisor, tmp_path)
    assert http_ready_check(f"http://127.0.0.1:{port}/")()
    assert [p.name for p in supervisor.processes] == ["web"]
    supervisor.stop("web")
    assert not port_ready_check(port)()
    assert not process.running
    assert supervisor.processes == []


def test_a_child_gets_exactly_the_given_variables(supervisor: Supervisor, tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import os; print(sorted(os.environ))"
    argv = [sys.executable, "-I", "-c", code]
    supervisor.run(
        "env", argv, env={"A": "b", "LANG": "C"}, cwd=tmp_path, log=tmp_path / "l", on_line=lines.append
    )
    assert [word for word in eval(lines[0]) if word != "LC_CTYPE"] == ["A", "LANG"]  # noqa: S307


def test_a_killed_child_is_restarted_on_the_same_port(supervisor: Supervisor, tmp_path: Path) -> None:
    messages: list[str] = []
    supervisor.on_restart.append(messages.append)
    process, port = serve(supervisor, tmp_path, restart=True)
    first = process.pid
    for times in (1, 2):
        os.kill(process.pid, signal.SIGKILL)
        until(lambda times=times: process.restarts == times and port_ready_check(port)())  # type: ignore[misc]
    assert messages == ["web ended with signal SIGKILL and was restarted"] * 2
    assert process.pid != first
    assert alive(process.pid)
    supervisor.stop("web")
    assert not port_ready_check(port)()


def test_killed_child_stays_down_without_restart(supervisor: Supervisor, tmp_path: Path) -> None:
    process, _ = serve(supervisor, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not process.running)
    assert (process.code, process.restarts) == (-signal.SIGKILL, 0)


def test_children_of_a_killed_child_end_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > inner; touch ready; wait"
    process = supervisor.start(
        "outer",
        ["sh", "-c", script],
        env=ENV,
        cwd=tmp_path,
        log=tmp_path / "log",
        ready=(tmp_path / "ready").exists,
    )
    inner = int((tmp_path / "inner").read_text())
    assert alive(inner)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not alive(inner))


def test_child_that_ignores_sigterm_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    script = "trap '' TERM; touch ready; while true; do sleep 0.1; done"
    process = supervisor.start(
        "deaf",
        ["sh", "-c", script],
        env=ENV,
        cwd=tmp_path,
        log=tmp_path / "log",
        ready=(tmp_path / "ready").exists,
    )
    supervisor.stop("deaf", grace_s=0.2)
    assert process.code == -signal.SIGKILL


def test_early_end_quotes_the_log(supervisor: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "bad.log"
    with pytest.raises(ProcessError) as error:
        supervisor.start(
            "bad",
            ["sh", "-c", "echo no such port >&2; exit 3"],
            env=ENV,
            cwd=tmp_path,
            log=log,
            ready=lambda: False,
        )
    assert (error.value.name, error.value.log) == ("bad", log)
    assert "bad failed to start: it ended with code 3\n" in str(error.value)
    assert "| no such port" in str(error.value)
    assert str(log) in str(error.value)
    assert supervisor.processes == []


def test_a_fault_of_the_host_is_named_instead_of_the_log(supervisor: Supervisor, tmp_path: Path) -> None:
    """Only the output of this start counts, not that of an earlier one."""
    log = tmp_path / "log"
    log.write_text("java.lang.OutOfMemoryError: Java heap space\n")
    with pytest.raises(ProcessError, match=r"^job ended with code 4\n  \| because\n") as error:
        supervisor.run("job", ["sh", "-c", "echo because; exit 4"], env=ENV, cwd=tmp_path, log=log)
    assert error.value.fault is None
    with pytest.raises(
        ProcessError, match=r"^job ended with code 1: the disk is full: .*\nfull output: "
    ) as error:
        supervisor.run(
            "job", ["sh", "-c", "echo No space left on device; exit 1"], env=ENV, cwd=tmp_path, log=log
        )
    assert len(str(error.value).splitlines()) == 2
    with pytest.raises(
        ProcessError, match=r"^job ended with signal SIGKILL: as the kernel does when memory runs out"
    ):
        supervisor.run("job", ["sh", "-c", "kill -9 $$"], env=ENV, cwd=tmp_path, log=log)


def test_deadline_ends_a_child_that_does_not_get_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    started: list[int] = []

    def ready() -> bool:
        started.extend(p.pid for p in supervisor.processes)
        return False

    with pytest.raises(ProcessError, match="was not ready after 0 s"):
        supervisor.start(
            "slow", ["sleep", "600"], env=ENV, cwd=tmp_path, log=tmp_path / "log", ready=ready, deadline_s=0.2
        )
    assert not alive(started[0])


def test_program_that_does_not_exist(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no-such-program"):
        supervisor.start(
            "x", ["no-such-program"], env=ENV, cwd=tmp_path, log=tmp_path / "log", ready=lambda: False
        )


def test_a_repeated_process_name_is_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    serve(supervisor, tmp_path)
    with pytest.raises(LocalError, match="'web' is running already"):
        serve(supervisor, tmp_path)


def test_run_passes_on_lines_and_logs_both_streams(supervisor: Supervisor, tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "log"
    script = "echo one; echo aside >&2; echo deux é"
    supervisor.run("job", ["sh", "-c", script], env=ENV, cwd=tmp_path, log=log, on_line=lines.append)
    assert lines == ["one", "deux é"]
    assert sorted(log.read_text().splitlines()) == ["aside", "deux é", "one"]


def test_run_that_fails_quotes_the_log(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"job ended with code 4\n  \| because"):
        supervisor.run(
            "job", ["sh", "-c", "echo because; exit 4"], env=ENV, cwd=tmp_path, log=tmp_path / "log"
        )


def test_run_that_takes_too_long_is_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="job was stopped after"):
        supervisor.run("job", ["sleep", "600"], env=ENV, cwd=tmp_path, log=tmp_path / "log", timeout_s=0.3)


def test_run_that_is_interrupted_ends_its_child(supervisor: Supervisor, tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(_line: str) -> None:
        pids.extend(p.pid for p in supervisor.processes)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervisor.run(
            "job",
            ["sh", "-c", "echo line; sleep 600"],
            env=ENV,
            cwd=tmp_path,
            log=tmp_path / "log",
            on_line=interrupt,
        )
    assert not alive(pids[0])
    assert supervisor.processes == []


def test_a_child_survives_the_thread_that_started_it(supervisor: Supervisor, tmp_path: Path) -> None:
    ports: list[int] = []
    thread = threading.Thread(target=lambda: ports.append(serve(supervisor, tmp_path)[1]))
    thread.start()
    thread.join()
    time.sleep(0.3)  # the kernel's death signal would have come with the thread's end
    assert port_ready_check(ports[0])()


def test_many_threads_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=serve, args=(supervisor, tmp_path), kwargs={"name": f"web{i}"})
        for i in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pids = [p.pid for p in supervisor.processes]
    assert len(set(pids)) == 5
    record = json.loads((tmp_path / "processes.json").read_text())
    assert sorted(child["pid"] for child in record["children"]) == sorted(pids)
    supervisor.stop_all()
    assert not any(alive(pid) for pid in pids)
    assert not (tmp_path / "processes.json").exists()
    supervisor.stop_all()
    with pytest.raises(LocalError, match="being stopped"):
        serve(supervisor, tmp_path)


PARENT = """
import sys, time
from pathlib import Path
from local.processes.supervisor import Supervisor
folder = Path(sys.argv[1])
supervisor = Supervisor(folder / "processes.json")
ready = lambda: True
for name in ("one", "two"):
    argv, log = ["sleep", "600"], folder / "log"
    p = supervisor.start(name, argv, env={}, cwd=folder, log=log, ready=ready, restart=True)
    print(p.pid, flush=True)
time.sleep(600)
"""


def parent_of_two(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=ENV | {"PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    return parent, [int(parent.stdout.readline()) for _ in range(2)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_children_die_with_a_parent_killed_by_signal_9(tmp_path: Path) -> None:
    parent, children = parent_of_two(tmp_path)
    assert all(alive(pid) for pid in children)
    parent.kill()
    parent.wait()
    until(lambda: not any(alive(pid) for pid in children))


def test_a_live_parent_locks_its_environment(tmp_path: Path) -> None:
    parent, children = parent_of_two(tmp_path)
    with pytest.raises(AlreadyRunningError, match=f"in use by process {parent.pid}"):
        Supervisor(tmp_path / "processes.json")
    assert end_orphaned_processes(tmp_path / "processes.json")[0] == "owner"
    assert parent.wait() == -signal.SIGTERM
    until(lambda: not any(alive(pid) for pid in children))
    Supervisor(tmp_path / "processes.json").stop_all()


def record_of(tmp_path: Path, pid: int, started: str) -> Path:
    record = tmp_path / "processes.json"
    owner = {"name": "owner", "pid": 2**22 + 1, "started": "1"}
    record.write_text(
        json.dumps({"owner": owner, "children": [{"name": "left", "pid": pid, "started": started}]})
    )
    return record


def test_orphaned_processes_are_stopped_by_the_next_run(tmp_path: Path) -> None:
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    started = Path(f"/proc/{left.pid}/stat").read_text().rpartition(")")[2].split()[19]
    assert end_orphaned_processes(record_of(tmp_path, left.pid, started)) == ["left"]
    assert left.wait() == -signal.SIGTERM


def test_a_recycled_pid_is_never_killed(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    assert end_orphaned_processes(record_of(tmp_path, stranger.pid, "1")) == []
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"owner": {}}', '{"owner": 1, "children": 2}'])
def test_a_missing_or_damaged_record_stops_nothing(tmp_path: Path, text: str | None) -> None:
    record = tmp_path / "processes.json"
    if text is not None:
        record.write_text(text)
    assert end_orphaned_processes(record) == []


def test_the_http_check_accepts_404_and_refuses_a_closed_port(supervisor: Supervisor, tmp_path: Path) -> None:
    _, port = serve(supervisor, tmp_path)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/nothing", timeout=5)
    assert http_ready_check(f"http://127.0.0.1:{port}/nothing")()
    assert not http_ready_check(f"http://127.0.0.1:{free_port()}/")()


def test_processes_run_and_stop_without_a_writable_record(
    supervisor: Supervisor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    supervisor.record.with_suffix(".tmp").mkdir()
    process, port = serve(supervisor, tmp_path)
    assert http_ready_check(f"http://127.0.0.1:{port}/")()
    supervisor.stop("web")
    assert not process.running
    assert f"{supervisor.record} cannot be written: Is a directory" in caplog.text
