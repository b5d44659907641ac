"""What each log event at WARNING or above means, and what to do: the source of docs/reference/errors.md.

An event is the field `event` of a log line: in Cloud Logging, `jsonPayload.event="schema_drift"` finds it.
"""

EVENTS: dict[str, tuple[str, str]] = {
    "collected": (
        "The tick is stored, and something of its response was rejected or differs from the sample.",
        "Query the table `quarantine` for the reasons: docs/feeds.md lists them.",
    ),
    "frozen_feed": (
        "Bikes, docks and states of all stations have been the same for `frozen_minutes`.",
        "Ask the publisher; if the system is closed at night or in winter, set `frozen_minutes` in `source.toml`.",
    ),
    "incomplete_response": (
        "The response has fewer records than it says there are, or a page of it was unusable.",
        "Compare `total` and `[paging]` in `source.toml` with the API.",
    ),
    "load_job_failed": (
        "A BigQuery load job failed; a later attempt has another ID, and the nightly rebuild loads what is missing.",
        "Read the reason in the log line. Failed jobs count towards the limit of 1,500 load jobs per table and day.",
    ),
    "moved_feed": (
        "The API redirects permanently, or responds with 404 or 410.",
        "Look for its new address, change `url` in `sources/<feed>/source.toml`, then deploy.",
    ),
    "no_rows": (
        "The response has records and none became a row, or it has no records.",
        "Query the table `quarantine`, adapt `sources/<feed>/`, deploy, and rebuild the days.",
    ),
    "not_joined": (
        "The second document of `[join]` could not be fetched or read: the rows have no values in its columns.",
        "If it continues, request the URL of `[join]` yourself.",
    ),
    "postponed": (
        "A delivery made no request: a `Retry-After` of the API is not over yet.",
        "Nothing: Pub/Sub redelivers the message.",
    ),
    "quota_exceeded": (
        "A BigQuery quota is used up: no further load job is created for some time.",
        "Nothing: the nightly rebuild loads the stored responses. `make smoke` shows the day's load jobs.",
    ),
    "refresh_failed": (
        "The dashboard could not refresh one of its files; visitors see the last known one.",
        "Read the error: a used-up budget ends at midnight UTC, a 403 is a missing role (docs/access.md).",
    ),
    "request_repeated": (
        "A response was unusable, and the collector requests the API again within the same delivery.",
        "Nothing, unless it continues: the fields of the tick's line `collected` name the reasons.",
    ),
    "retry_after_received": (
        "The API sent `Retry-After` of more than 10 s: nothing is requested until then.",
        "Nothing, unless it continues: then request less often, or ask the publisher for a higher limit.",
    ),
    "schema_drift": (
        "A column of `[common]`, the key, or every value of a column is lost: the API's fields have changed.",
        "Adapt the sample and `source.toml`, deploy, and rebuild the days: raw responses have everything.",
    ),
    "shard_missing": (
        "A shard of GBFS systems has stored nothing for a minute, which was loaded without it.",
        "`make smoke` names the silent systems; look at the log of the function `gbfs-collector`.",
    ),
    "stale_feed": (
        "No station has reported for `stale_minutes`: the API repeats an old response.",
        "Ask the publisher; the responses are stored all the same.",
    ),
    "swept": (
        "A sweep of the copier refused objects, or failed to archive some.",
        "The next sweep tries again. The lines before it name each object with the reason.",
    ),
    "system_changed": (
        "A GBFS system moved, changed its version or files, could not be reached, or is no longer listed.",
        "Query the table `systems` for what changed; remove a system that is gone from `[gbfs]`.",
    ),
    "unusable_response": (
        "No records could be read from the response; its bytes are stored.",
        "Query the table `quarantine` for the reason. If the API has recovered, do nothing.",
    ),
}
