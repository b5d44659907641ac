"""`python -m feed sources/<feed>` checks a folder; `python -m feed docs/feeds.md` renews the dictionaries."""

import sys
from collections.abc import Iterable
from pathlib import Path

from feed import Feed, data_dictionary, load_feed, load_feeds

BEGIN = "<!-- data dictionaries: begin -->"
END = "<!-- data dictionaries: end -->"
USAGE = "usage: python -m feed sources/<feed> | python -m feed docs/feeds.md\n"


def with_dictionaries(document: str, feeds: Iterable[Feed]) -> str:
    """The Markdown document with the feeds' dictionaries between its two markers; ValueError without them."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"found no place for the dictionaries: expected the lines {BEGIN} and {END}")
    return "\n".join([before + BEGIN, *(data_dictionary(feed) for feed in feeds), END + after])


def main(arguments: list[str]) -> int:
    """0 when done, 1 for an unusable feed or document, 2 for wrong arguments."""
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        return 2
    target = Path(arguments[0])
    if not target.exists():
        sys.stderr.write(f"{target}: found nothing there, expected a feed's folder or docs/feeds.md\n")
        return 1
    try:
        if target.is_dir():
            sys.stdout.write(data_dictionary(load_feed(target.resolve())))
        else:
            feeds = load_feeds(target.resolve().parent.parent / "sources").values()
            target.write_text(with_dictionaries(target.read_text("utf-8"), feeds), "utf-8")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
