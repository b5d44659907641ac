"""`python -m feed sources/<feed>` checks a feed; `python -m feed docs/data-dictionaries.md` updates the document."""

import sys
from collections.abc import Iterable
from pathlib import Path

from feed import Feed, load_feed, load_feeds, render_data_dictionary

BEGIN = "<!-- data dictionaries: begin -->"
END = "<!-- data dictionaries: end -->"
USAGE = "usage: python -m feed sources/<feed> | python -m feed docs/data-dictionaries.md\n"


def insert_dictionaries(document: str, feeds: Iterable[Feed]) -> str:
    """Return the Markdown document with new data dictionaries between its markers. Raises ValueError."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no markers for the dictionaries; add the lines {BEGIN} and {END}")
    return "\n".join([before + BEGIN, *(render_data_dictionary(feed) for feed in feeds), END + after])


def main(arguments: list[str]) -> int:
    """Return 0 on success, 1 for an invalid feed or document, 2 for wrong arguments."""
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        return 2
    target = Path(arguments[0])
    sources = target.resolve().parent.parent / "sources"
    if not target.exists():
        sys.stderr.write(
            f"{target}: no such file or folder; expected a feed's folder or docs/data-dictionaries.md\n"
        )
        return 1
    try:
        if target.is_dir():
            sys.stdout.write(render_data_dictionary(load_feed(target.resolve())))
        elif not sources.is_dir():
            sys.stderr.write(
                f"{target}: found a file; expected a feed's folder or docs/data-dictionaries.md\n"
            )
            return 1
        else:
            feeds = load_feeds(sources).values()
            target.write_text(insert_dictionaries(target.read_text("utf-8"), feeds), "utf-8")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
