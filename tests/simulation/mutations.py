"""Mutations of the product, applied one at a time: the simulation must find each of them.

A mutation replaces a part of a module's source. The code objects of the existing functions are replaced by those of the
mutated source, so that modules that have imported them run the mutated code too.

Two checks of the product have no mutation, since no history that follows the protocol needs them: that rows already
exist (`has_rows`), and that the minutes of a table changed during a run. They protect against manual changes.
"""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any


@dataclass(frozen=True)
class Mutation:
    """A mutation: in `module`, `old` becomes `new`; the history of `seed` reveals it."""

    name: str
    seed: int
    module: str
    old: str
    new: str
    ticks: int = 3  # of the history, for mutations of shards

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Apply the mutation. Raises LookupError if the product no longer has the text, so that it must be updated."""
        module = importlib.import_module(self.module)
        source = inspect.getsource(module)
        if source.count(self.old) != 1:
            raise LookupError(
                f"{self.name}: {self.module} has this text {source.count(self.old)} times:\n{self.old}"
            )
        changed: dict[str, Any] = {"__name__": self.module}
        exec(compile(source.replace(self.old, self.new), module.__file__ or "", "exec"), changed)  # noqa: S102
        functions = [
            (function, after.get(name))
            for before, after in _namespaces(module, changed)
            for name, function in before.items()
            if isinstance(function, FunctionType) and function.__module__ == self.module
        ]
        codes = [
            (function, function.__code__, new.__code__)
            for function, new in functions
            if isinstance(new, FunctionType) and function.__code__.co_freevars == new.__code__.co_freevars
        ]
        for function, _, code in codes:
            function.__code__ = code
        try:
            yield
        finally:
            for function, code, _ in codes:
                function.__code__ = code


def _namespaces(module: Any, changed: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the namespaces with functions before and after the mutation: the module, and its classes."""
    yield vars(module), changed
    for name, each in vars(module).items():
        if isinstance(each, type) and each.__module__ == module.__name__:
            yield dict(vars(each)), dict(vars(changed[name]))


MUTATIONS = (
    Mutation(
        "a landed object is deleted as soon as it is archived",
        9,  # R1 and R2: the protocol before decision 1
        "copier.sweep",
        "keep=settings.keep or is_in_window)",
        "keep=settings.keep)",
    ),
    Mutation(
        "a load job has a new ID each time",
        4,
        "collector.tick",
        'f"{job}-{kind}-{_short_digest(table)}"',
        'f"{job}-{kind}-{time.monotonic_ns()}"',
    ),
    Mutation(
        "a redelivery does not look for the stored object",
        1,
        "collector.landing",
        "if is_redelivery and (stored :=",
        "if False and (stored :=",
    ),
    Mutation(
        "a delivery ignores the time in Retry-After",
        2,
        "collector.tick",
        "    check_wait_marker(*bucket, feed.name, services.now())\n",
        "",
    ),
    Mutation(
        "the time in Retry-After is not recorded for every minute",
        947,
        "collector.retry_after",
        "        minute += _MINUTE\n",
        "        minute += 2 * _MINUTE\n",
    ),
    Mutation(
        "an upload replaces what is stored",
        7,
        "collector.landing",
        "if_generation_match=0",
        "if_generation_match=None",
    ),
    Mutation(
        "the loser of two uploads continues with its own response",
        9,
        "collector.landing",
        "            raise\n        return LandedObject(name, stored.content,",
        "            raise\n        return LandedObject(name, content,",
    ),
    Mutation(
        "a failed load job counts as successful",
        1,
        "collector.loading",
        "            last = error\n",
        "            return False\n",
    ),
    Mutation(
        "a load job of another delivery is not waited for",
        11,
        "collector.loading",
        "        client.get_job(job_id, timeout=JOB_SECONDS).result(timeout=JOB_SECONDS)\n",
        "",
    ),
    Mutation(
        "the ID of a failed load job is reused",
        1,
        "collector.loading",
        'job_id if attempt == 0 else f"{job_id}-{attempt}"',
        "job_id",
    ),
    Mutation(
        "a message is acknowledged although its load failed",
        17,
        "collector.loading",
        "    raise LoadError(\n",
        "    return False\n    raise LoadError(\n",
    ),
    Mutation(
        "an exceeded quota is followed by further jobs immediately",
        10,
        "collector.loading",
        "            _check_quota_pause(job, table)\n",
        "",
    ),
    Mutation(
        "the source is deleted before it is copied",
        2,
        "copier.archiving",
        "    copy = archive.blob(plan.destination)\n    try:\n        token = None\n",
        "    copy = archive.blob(plan.destination)\n    _delete(source, deadline, keep=keep)\n"
        "    try:\n        token = None\n",
    ),
    Mutation(
        "an archived object is replaced",
        1,
        "copier.archiving",
        "                if_generation_match=0,\n                if_source_generation_match=source.generation,\n",
        "                if_generation_match=None,\n                if_source_generation_match=source.generation,\n",
    ),
    Mutation(
        "a day is replaced outside of a transaction",
        0,
        "spark.rebuild.warehouse",
        '["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION;"]',
        "statements",
    ),
    Mutation(
        "a day is replaced although minutes of it are not archived",
        2,
        "spark.rebuild.warehouse",
        "    if unarchived:\n",
        "    if False:\n",
    ),
    Mutation(
        "a day is rebuilt while its ticks can be delivered",  # the simulation found this one in the product
        163,
        "spark.rebuild.job",
        "    if now < settled:\n",
        "    if False:\n",
    ),
    Mutation(
        "a replaced day keeps its old rows",
        0,
        "spark.rebuild.warehouse",
        "    if staging is None:\n        return statements\n",
        "    statements = statements[:-1]\n    if staging is None:\n        return statements\n",
    ),
)

# Mutations of the collection of GBFS systems, found by tests/simulation/workloads/gbfs_collection.py.
SHARD_MUTATIONS = (
    Mutation(
        "a pack replaces what is stored",
        0,
        "gbfs_collector.storage",
        "if_generation_match=0",
        "if_generation_match=None",
    ),
    Mutation(
        "the loser of two uploads continues with its own pack",
        0,
        "gbfs_collector.storage",
        "return StoredObject(existing, is_new=False)",
        "return StoredObject(content, is_new=False)",
    ),
    Mutation(
        "each shard loads the minute with its own job",
        0,
        "gbfs_collector.tick",
        "_make_job_id(tick, kind, target))\n    words",
        '_make_job_id(tick, f"{shard.number}-{kind}", target))\n    words',
    ),
    Mutation(
        "the first shard loads the minute before the others have stored their packs",
        0,
        "gbfs_collector.tick",
        "    if _find_missing_packs(shard, delivery.tick, names):\n",
        "    if shard.number:\n",
    ),
    Mutation(
        "a minute with a shard missing is never closed",
        12,
        "gbfs_collector.tick",
        "    if not names:\n",
        "    if True:\n",
    ),
    Mutation(
        "a closed minute is not loaded",
        12,
        "gbfs_collector.tick",
        "    load_minute(shard, services, tick, _read_packs(store, sorted({*names, *missing})))\n",
        "",
    ),
    Mutation(
        "complete packs imply a loaded minute",
        3,
        "gbfs_collector.tick",
        '    if is_loaded(services.bigquery, _make_job_id(tick, "polls", shard.polls_table)):\n',
        "    names = ObjectStore(services.storage, shard.bucket).list_names(minute_prefix(tick))\n"
        "    if not _find_missing_packs(shard, tick, names):\n",
        ticks=30,
    ),
    Mutation(
        "only one shard checks a minute",
        3,
        "gbfs_collector.tick",
        "enumerate(CLOSING_AGES)",
        "enumerate(CLOSING_AGES[:1])",
        ticks=30,
    ),
    Mutation(
        "a minute counts as loaded before its quarantine is",
        12,
        "gbfs_collector.tick",
        '_make_job_id(tick, "polls", shard.polls_table)',
        '_make_job_id(tick, "status", shard.station_status_table)',
        ticks=30,
    ),
    Mutation(
        "a status is unchanged since the previous day",
        0,
        "gbfs_collector.request_state",
        " or _utc_date(body_at) != _utc_date(tick)",
        "",
    ),
    Mutation(
        "an unchanged status counts as a stored body",
        0,
        "gbfs_collector.request_state",
        "body_at=(tick if is_received else each.unchanged_since) if has_new_body else previous.body_at",
        "body_at=tick",
    ),
    Mutation(
        "the ETag of a response is used for the body of another one",
        1,
        "gbfs_collector.request_state",
        "conditions=_make_conditions(each) if has_new_body else previous.conditions",
        "conditions=previous.conditions or _make_conditions(each)",
    ),
)
