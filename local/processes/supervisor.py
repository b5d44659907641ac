"""Child processes that end when this process ends.

Each child leads its own process group, so that its own children end with it. On Linux the kernel kills it when this
process dies, even by `kill -9`; what remains elsewhere is stopped by `end_orphaned_processes`, which reads the record
of the earlier run.
"""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.errors import LocalError, ProcessError
from local.processes.records import (
    OWNER,
    READY_INTERVAL_S,
    describe_process,
    end_orphaned_processes,
    lock_record,
    signal_group,
)
from local.processes.spawning import describe_exit, spawn

LOG = logging.getLogger(__name__)

STABLE_AFTER_S = 30.0  # a child that ran this long is restarted without delay
MAX_RESTART_DELAY_S = 10.0


@dataclass
class Process:
    """A supervised child process. `pid` changes with each restart; `restarts` counts them."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    log: Path
    restart: bool
    popen: subprocess.Popen[bytes]
    log_begin: int  # the offset in the log at which its own output begins
    restarts: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    code: int | None = None

    @property
    def pid(self) -> int:
        """The process ID of the running child, which is its group's ID as well."""
        return self.popen.pid

    @property
    def running(self) -> bool:
        """Whether the child runs or will be restarted."""
        return not self.ended.is_set()


class Supervisor:
    """Starts, watches, restarts and stops the child processes of one environment; safe to use from any thread.

    Raises AlreadyRunningError where another live process holds the same record file; what a dead one left running is
    stopped first. Each callback of `on_restart` gets a sentence about each restart.
    """

    def __init__(self, record: Path) -> None:
        self.record = record
        self.on_restart: list[Callable[[str], None]] = []
        record.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = lock_record(record)
        end_orphaned_processes(record)
        self._processes: dict[str, Process] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._spawns: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # The kernel sends that signal when the THREAD that started the child ends, so one thread that lives as
        # long as this object starts them all.
        threading.Thread(target=self._run_spawner, name="spawner", daemon=True).start()
        self._write_record()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    @property
    def processes(self) -> list[Process]:
        """The running children, in the order of their start."""
        with self._lock:
            return list(self._processes.values())

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        ready: Callable[[], bool],
        restart: bool = False,
        deadline_s: float = 30.0,
    ) -> Process:
        """Start a child with exactly the environment variables `env`; return when `ready()` is true.

        With `restart`, a child that ends by itself later is restarted with the same arguments, after a delay that
        doubles up to 10 s. Raises ProcessError, quoting the end of its log, where the child ends or the deadline
        passes before it is ready.
        """
        process, is_ready = self._register(name, argv, env, cwd, log, restart=restart)
        try:
            self._wait_until_ready(process, ready, deadline_s)
        except BaseException:
            self.stop(name)
            raise
        is_ready.set()
        return process

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        on_line: Callable[[str], None] | None = None,
        timeout_s: float = 3600.0,
    ) -> None:
        """Run a child to its end; pass each line of its standard output to `on_line`, and write all output to `log`.

        Raises ProcessError, quoting the end of the log, where it exits with another code than 0 or still runs after
        `timeout_s`.
        """
        began = time.monotonic()
        process, _ = self._register(name, argv, env, cwd, log, stdout=subprocess.PIPE)
        timer = threading.Timer(timeout_s, signal_group, (process.pid, signal.SIGKILL))
        timer.daemon = True
        timer.start()
        try:
            self._copy_output(process.popen, log, on_line)
            process.ended.wait()
        finally:
            timer.cancel()
            self.stop(name)
        if process.code != 0:
            took = time.monotonic() - began
            late = took >= timeout_s
            what = f"was stopped after {took:.0f} s" if late else f"ended with {describe_exit(process.code)}"
            raise ProcessError(name, what, log, process.log_begin)

    def stop(self, name: str, grace_s: float = 5.0) -> None:
        """Stop a child and its whole process group: SIGTERM, then SIGKILL after `grace_s` seconds."""
        with self._lock:
            process = self._processes.get(name)
        if process is None:
            return
        process.stopping.set()
        if process.running:
            signal_group(process.pid, signal.SIGTERM)
            if not process.ended.wait(grace_s):
                signal_group(process.pid, signal.SIGKILL)
                process.ended.wait(grace_s)
        self._remove(process)

    def stop_all(self, grace_s: float = 5.0) -> None:
        """Stop every child, the last started first. The supervisor cannot be used afterwards."""
        with self._lock:
            self._stopping.set()
        for process in reversed(self.processes):
            self.stop(process.name, grace_s)
        self._spawns.put(None)
        self.record.unlink(missing_ok=True)
        self._lock_file.close()

    def _register(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        *,
        restart: bool = False,
        stdout: int | None = None,
    ) -> tuple[Process, threading.Event]:
        """Start, record and watch a child; it is restarted only once the event is set."""
        with self._lock:
            known = self._processes.get(name)
            if known is not None and known.running:
                raise LocalError(f"a process named {name!r} is running already (process ID {known.pid})")
        log.parent.mkdir(parents=True, exist_ok=True)
        begin = log.stat().st_size if log.exists() else 0
        popen = self._spawn(argv, env, cwd, log, stdout)
        process = Process(name, tuple(argv), dict(env), cwd, log, restart, popen, begin)
        with self._lock:
            self._processes[name] = process
        self._write_record()
        is_ready = threading.Event()
        watch = threading.Thread(
            target=self._watch, args=(process, is_ready), name=f"watch {name}", daemon=True
        )
        watch.start()
        return process, is_ready

    def _spawn(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        outcome: Future[subprocess.Popen[bytes]] = Future()

        def spawn_child() -> None:
            try:
                outcome.set_result(spawn(argv, env, cwd, log, stdout))
            except BaseException as error:  # noqa: BLE001  (raised again in the calling thread)
                outcome.set_exception(error)

        with self._lock:
            if self._stopping.is_set():
                raise LocalError("no process is started: the environment is being stopped")
            self._spawns.put(spawn_child)
        try:
            return outcome.result()
        except OSError as error:
            raise LocalError(f"{argv[0]} cannot be started: {error}") from error

    def _run_spawner(self) -> None:
        while (spawn_child := self._spawns.get()) is not None:
            spawn_child()

    def _wait_until_ready(self, process: Process, ready: Callable[[], bool], deadline_s: float) -> None:
        end = time.monotonic() + deadline_s
        while True:
            if process.ended.is_set():
                what = f"failed to start: it ended with {describe_exit(process.code)}"
                raise ProcessError(process.name, what, process.log, process.log_begin)
            if ready():
                break
            if time.monotonic() > end:
                what = f"was not ready after {deadline_s:.0f} s"
                raise ProcessError(process.name, what, process.log, process.log_begin)
            process.ended.wait(READY_INTERVAL_S)
        if self._stopping.is_set():
            raise LocalError(f"{process.name} was not started: the environment is being stopped")

    def _watch(self, process: Process, is_ready: threading.Event) -> None:
        delay = 0.1
        while True:
            began = time.monotonic()
            self._wait_for_end(process)
            if not (process.restart and is_ready.is_set()) or process.stopping.is_set():
                break
            delay = 0.1 if time.monotonic() - began > STABLE_AFTER_S else min(delay * 2, MAX_RESTART_DELAY_S)
            if process.stopping.wait(delay):
                break
            try:
                process.popen = self._spawn(process.argv, process.env, process.cwd, process.log)
            except LocalError:
                break
            process.restarts += 1
            self._write_record()
            self._report_restart(f"{process.name} ended with {describe_exit(process.code)} and was restarted")
            if process.stopping.is_set() or self._stopping.is_set():  # stopped while it was starting
                signal_group(process.pid, signal.SIGTERM)
        process.ended.set()

    def _report_restart(self, sentence: str) -> None:
        LOG.warning("%s", sentence)
        for callback in self.on_restart:
            callback(sentence)

    def _wait_for_end(self, process: Process) -> None:
        """Wait for the child's end, then kill the rest of its group, and only then reap it so that its ID can be
        reused.
        """
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        signal_group(process.pid, signal.SIGKILL)
        process.code = process.popen.wait()

    @staticmethod
    def _copy_output(
        popen: subprocess.Popen[bytes], log: Path, on_line: Callable[[str], None] | None
    ) -> None:
        assert popen.stdout is not None  # noqa: S101  (set in `run`)
        with popen.stdout, log.open("ab") as file:
            for line in popen.stdout:
                file.write(line)
                file.flush()
                if on_line is not None:
                    on_line(line.decode("utf-8", "replace").rstrip("\r\n"))

    def _remove(self, process: Process) -> None:
        with self._lock:
            if self._processes.get(process.name) is process:
                del self._processes[process.name]
        self._write_record()

    def _write_record(self) -> None:
        with self._lock:
            running = [describe_process(p.name, p.pid) for p in self._processes.values() if p.running]
            known = {
                "owner": asdict(describe_process(OWNER, os.getpid())),
                "children": [asdict(r) for r in running],
            }
            temporary = self.record.with_suffix(".tmp")
            try:
                temporary.write_text(json.dumps(known, indent=1))
                temporary.replace(self.record)
            except OSError as error:
                # Only a run after a crash reads the file: a full disk must not prevent that processes are stopped.
                LOG.info("%s cannot be written: %s", self.record, error.strerror)
