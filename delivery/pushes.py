"""Compare the findings of a review with those of the previous push."""

import re

BEGIN, END = "<!-- since -->", "<!-- /since -->"
SECTION = re.compile(f"{re.escape(BEGIN)}\n.*?\n{re.escape(END)}\n*", re.DOTALL)
HEADER = "| severity | where |"
MOST = 20
SHORTEST_SHA = 12


def render_changes_since_push(present: str, text: str, *, same_plan: bool) -> str:
    """Return the differences between the present comment and a new review as Markdown; empty if there are none.

    If the comment is written again for the same plan, as after a label, it keeps its section.
    """
    if same_plan:
        kept = SECTION.search(present)
        return kept[0].strip() if kept else ""
    old, new = list_finding_rows(present), list_finding_rows(text)
    if not old and not new:
        return ""
    come = [row for row in new if row not in set(old)]
    gone = [row for row in old if row not in set(new)]
    if not come and not gone:
        return f"{BEGIN}\n**Since the last push:** the same findings.\n{END}"
    lines = [*(f"| new | {row}" for row in come), *(f"| no longer | {row}" for row in gone)]
    more = [f"\nand {len(lines) - MOST} more."] if len(lines) > MOST else []
    counted = f"{len(come)} new, {len(gone)} no longer there"
    table = [
        "| | severity | where | what happens | can it be undone? |",
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
