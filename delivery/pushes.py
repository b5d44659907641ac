"""Compare the findings of a review with those of the previous push."""

import re

BEGIN, END = "<!-- since -->", "<!-- /since -->"
SECTION = re.compile(f"{re.escape(BEGIN)}\n.*?\n{re.escape(END)}\n*", re.DOTALL)
HEADER = "| severity | where |"
MOST = 20
SHORTEST_SHA = 12


def render_changes_since_push(previous: str, current: str, *, same_plan: bool) -> str:
    """Return the differences between the previous comment and a new review as Markdown; empty if there are none.

    If the comment is written again for the same plan, as after a label, it keeps its section.
    """
    if same_plan:
        kept = SECTION.search(previous)
        return kept[0].strip() if kept else ""
    old, new = list_finding_rows(previous), list_finding_rows(current)
    if not old and not new:
        return ""
    added = [row for row in new if row not in set(old)]
    removed = [row for row in old if row not in set(new)]
    if not added and not removed:
        return f"{BEGIN}\n**Since the last push:** the same findings.\n{END}"
    lines = [*(f"| new | {row}" for row in added), *(f"| no longer | {row}" for row in removed)]
    more = [f"\nand {len(lines) - MOST} more."] if len(lines) > MOST else []
    counted = f"{len(added)} new, {len(removed)} no longer there"
    table = [
        "| | severity | where | what happens | can it be reverted? |",
        "|---|---|---|---|---|",
        *lines[:MOST],
    ]
    return "\n".join(
        [
            BEGIN,
            f"<details><summary><b>Since the last push:</b> {counted}</summary>\n",
            *table,
            *more,
            "\n</details>",
            END,
        ]
    )


def list_finding_rows(body: str) -> list[str]:
    """Return the rows of a review's table of findings, without the first bar."""
    found: list[str] = []
    inside = False
    for line in SECTION.sub("", body.replace("\r\n", "\n")).split("\n"):
        if line.startswith(HEADER):
            inside = True
        elif inside and line.startswith("|"):
            if not line.startswith("|---"):
                found.append(line.removeprefix("| "))
        elif inside:
            break
    return found
