"""The command `plan-review`, or `python -m review`: read a plan, review it, write the review."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from review.assessment.review import Review, review_plan
from review.assessment.rules import apply_rules, read_rules, read_stack_rules
from review.assessment.unexamined import Level
from review.cost.price_book import PriceBook, load_price_book
from review.errors import PlanError, ReviewError
from review.findings.finding import sort_key
from review.findings.text import escape_invisible, span
from review.options import parse_options
from review.plan import archives, naming
from review.plan.context import Context
from review.plan.raw_json import MOST_BYTES, read_json
from review.plan.reading import read_plan
from review.report import document, json_report, markdown, terminal
from review.report.annotations import find_source_lines, format_annotations
from review.secrets.masking import Secrets
from review.stacks.comparison import compare_stacks
from review.types.registry import create_context, register


def main(arguments: Sequence[str] | None = None, stdin: BinaryIO | None = None) -> int:
    """Write the review to standard output and return the exit status."""
    options = parse_options(arguments)
    try:
        context = _read_input(options, stdin or sys.stdin.buffer)
        found = _apply_rules(review_plan(context, _load_prices(options), Level(options.unexamined)), options)
        text = _render(found, options, context.plan.secrets)
    except ReviewError as error:
        return _report_failure(f"no review: {error}", options)
    except Exception as error:  # noqa: BLE001 (a failed review must not look like one without findings)
        last = traceback.extract_tb(error.__traceback__)[
            -1
        ]  # the location without the message, which may quote a secret
        where = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        return _report_failure(
            f"no review: internal error on this input ({where}); please report it", options
        )
    _write(text)
    _write_annotations(found, options, context.plan.secrets)
    if found.refused:
        print(f"refused: {found.refused}", file=sys.stderr)
        return 1
    needed = [each for each in found.acknowledgements if each not in options.acknowledged]
    if options.gate and needed:
        flags = " ".join(f"--acknowledged {each.replace(' ', '-')}" for each in needed)
        print(f"needs acknowledgement: {', '.join(needed)}; once acknowledged, add {flags}", file=sys.stderr)
        return 2
    return 0


def _apply_rules(found: Review, options: argparse.Namespace) -> Review:
    """Apply the rules of the files and of the stack."""
    rules = [
        rule
        for file in options.rules
        for rule in read_rules(_read_file(file, sys.stdin.buffer, "rules"), f"rules {file}")
    ]
    if options.stack_rules:
        rules += read_stack_rules(_stack_document(options))
    if not rules:
        return found
    findings, blocked, notes = apply_rules(found.findings, rules, datetime.now(UTC).date())
    return replace(
        found,
        findings=tuple(sorted(findings, key=sort_key)),
        refused="; ".join(each for each in (found.refused, blocked) if each),
        notes=(*notes, *found.notes),
    )


def _stack_document(options: argparse.Namespace) -> dict[str, Any]:
    file = options.head or options.stack
    return (
        read_json(_read_file(file, sys.stdin.buffer, "the stack"), "the stack")
        if file and file != "-"
        else {}
    )


def _write_annotations(found: Review, options: argparse.Namespace, secrets: Secrets) -> None:
    """Write annotations to standard error, where GitHub's runner reads them from a step's log."""
    if options.annotations:
        lines = format_annotations(
            found.findings,
            find_source_lines(_stack_document(options)),
            lambda text: escape_invisible(secrets.mask(text)),
        )
        for line in lines:
            print(line, file=sys.stderr)


def _read_input(options: argparse.Namespace, stdin: BinaryIO) -> Context:
    if options.types:
        register(Path(options.types))
    if options.base:
        return _compare(options, stdin)
    plan = read_plan(_read_file(options.plan, stdin, "the plan"))
    folders = {
        "after": [Path(each) for each in options.head_files],
        "before": [Path(each) for each in options.base_files],
    }
    beside = Path(options.plan).parent if options.plan != "-" else None
    stack = Path(options.stack) if options.stack else beside and beside / "cdk.tf.json"
    constructs = {}
    if options.stack or (stack and stack.is_file()):
        constructs = naming.read_construct_paths(
            read_json(_read_file(str(stack), stdin, "the stack"), "the stack")
        )
        folders["after"].append(Path(str(stack)).parent)
    if beside:
        folders["after"].append(beside)
    return create_context(
        plan,
        naming.Names((each.address for each in plan.changes), constructs),
        _make_lookup(folders, plan.secrets),
    )


def _load_prices(options: argparse.Namespace) -> PriceBook:
    return load_price_book(
        _read_file(options.prices, sys.stdin.buffer, "the file of prices") if options.prices else None
    )


def _compare(options: argparse.Namespace, stdin: BinaryIO) -> Context:
    base, head = (
        _read_file(options.base, stdin, "the base stack"),
        _read_file(options.head, stdin, "the head stack"),
    )
    plan = compare_stacks(base, head)
    constructs = {
        **naming.read_construct_paths(read_json(base, "the base stack")),
        **naming.read_construct_paths(read_json(head, "the head stack")),
    }
    folders = {
        "before": [*map(Path, options.base_files), Path(options.base).parent],
        "after": [*map(Path, options.head_files), Path(options.head).parent],
    }
    return create_context(
        plan,
        naming.Names((each.address for each in plan.changes), constructs),
        _make_lookup(folders, plan.secrets),
    )


def _make_lookup(folders: dict[str, list[Path]], secrets: Secrets):  # type: ignore[no-untyped-def]
    def lookup(path: str, side: str) -> archives.Archive | None:
        content = archives.find_artifact(tuple(folders[side]), path)
        return None if content is None else archives.read_artifact(path, content)

    return lookup


def _read_file(path: str, stdin: BinaryIO, what: str) -> bytes:
    """Read a file of bounded size."""
    try:
        if path == "-":
            return stdin.read(MOST_BYTES + 1)
        with Path(path).open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PlanError(f"{what} {path} cannot be read: {error.strerror}") from None


def _render(found: Review, options: argparse.Namespace, secrets: Secrets) -> str:
    def mask(text: str) -> str:
        return escape_invisible(secrets.mask(text))

    laid_out = document.mask_document(document.lay_out_review(found, options.name), mask)
    if options.format == "json":
        return json_report.render_json(found, laid_out.headline, options.name, mask)
    return (
        markdown.render_markdown(laid_out)
        if options.format == "markdown"
        else terminal.render_terminal(laid_out)
    )


def _report_failure(message: str, options: argparse.Namespace) -> int:
    """Print the failure to standard error, and a review that says so to standard output."""
    print(message, file=sys.stderr)
    name = f"{span(options.name, 60)}: " if options.name else ""
    failed = Review(refused=message)
    laid_out = document.Document(f"{name}no review could be made", refused=message)
    if options.format == "json":
        _write(json_report.render_json(failed, laid_out.headline, options.name, escape_invisible))
    else:
        _write(
            (markdown.render_markdown if options.format == "markdown" else terminal.render_terminal)(laid_out)
        )
    return 1


def _write(text: str) -> None:
    """Write UTF-8, whatever encoding the terminal has."""
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
