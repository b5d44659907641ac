"""`python -m tests.browser.performance RUNS FILE`: measure the dashboard in Chromium, for `python -m bench dashboard`.

The first view is measured beside a page without content, a frame of a replay beside the time between frames.
"""

import logging
import os
import pickle
import sys
import time
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, CDPSession

from bench.measure import Comparison, Figure, Timing, compare, list_processes
from tests.browser.chromium import NoChromiumError, open_browser
from tests.browser.site import ZONE, FakeBigQuery, find_last_evening, serve_dashboard

READY = "html[data-ready]"
MINUTES = 1440  # of a day, each drawn once
FRAME_MS = 1000 / 60  # of a screen with 60 frames a second
PLAY_A_DAY = """() => new Promise(ended => {
    const speed = document.getElementById("speed"), minute = document.getElementById("minute");
    speed.value = "60";  // a minute for each frame of such a screen
    minute.value = 0;
    minute.dispatchEvent(new Event("input"));
    const began = performance.now();
    let frames = 0;
    const count = (now) => {
        frames++;
        if (document.documentElement.classList.contains("playing")) requestAnimationFrame(count);
        else ended([frames, (now - began) / 1000]);
    };
    document.getElementById("play").click();
    requestAnimationFrame(count);
})"""


def main(runs: str, file: str) -> int:
    """Measure, and store the figures as a pickle; return 0, or 1 without Chromium."""
    try:
        Path(file).write_bytes(pickle.dumps(measure(int(runs))))
    except NoChromiumError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def measure(runs: int) -> list[Comparison | Figure]:
    """Compare the first view of the page with /health, a page without content, of the same server; measure a replay.

    Each visit has an empty browser cache. The server has responded before, so that no query of BigQuery is measured.
    Raises NoChromiumError.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    warehouse = FakeBigQuery(find_last_evening())
    with serve_dashboard(warehouse) as url, open_browser() as browser:
        view = compare(
            "dashboard, first view",
            (
                "the map, the curve and the table of 289 stations are drawn",
                lambda: _visit(browser, url, READY),
            ),
            ("`/health`, a line of text, is drawn", lambda: _visit(browser, f"{url}health", "body")),
            runs=runs,
            unit="visit",
            note="CPU is that of all processes of Chromium.",
        )
        day = warehouse.now.astimezone(ZONE).date() - timedelta(days=1)
        return [view, _measure_replay(browser, f"{url}#day={day}&t=0")]


def _visit(browser: Browser, url: str, ready: str) -> Timing:
    """Open a URL in a new context, and return the time from the request to the next frame after `ready`."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.goto("about:blank")
        cpu, started = _sum_chromium_seconds(), time.perf_counter()
        page.goto(url)
        page.wait_for_selector(ready)
        page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => setTimeout(drawn)))")
        return Timing(time.perf_counter() - started, _sum_chromium_seconds() - cpu)
    finally:
        page.close()


def _measure_replay(browser: Browser, url: str) -> Figure:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url)
    page.wait_for_selector(READY)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    thread, cpu = _read_thread_seconds(session), _sum_chromium_seconds()
    frames, seconds = page.evaluate(PLAY_A_DAY)
    thread, cpu = _read_thread_seconds(session) - thread, _sum_chromium_seconds() - cpu
    page.close()
    milliseconds = 1000 * thread / frames
    return Figure(
        "dashboard, replay of a day",
        f"{milliseconds:.2g} ms of the page's thread for a frame, {1000 * cpu / frames:.2g} ms of all processes",
        f"{FRAME_MS:.3g} ms between frames at 60 a second",
        f"{milliseconds / FRAME_MS:.0%}",
        f"CPU time of Chromium; {MINUTES} minutes in {frames} frames and {seconds:.1f} s, "
        f"{frames / seconds:.0f} frames a second.",
    )


def _read_thread_seconds(session: CDPSession) -> float:
    """Return the CPU time of the tasks of the page's thread."""
    metrics: dict[str, float] = {
        each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]
    }
    return metrics["TaskDuration"]


def _sum_chromium_seconds() -> float:
    """Return the CPU time of the processes that this one started, with those that they waited for."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for pid, fields in list_processes():
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    ours, own = 0, os.getpid()
    for pid, parent in parents.items():
        ancestor = parent
        while ancestor in parents and ancestor != own:
            ancestor = parents[ancestor]
        ours += ticks[pid] if ancestor == own else 0
    return ours / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
