"""Errors that end a review without a result."""


class ReviewError(Exception):
    """The review failed; the message says why, and never quotes the input, which may contain secrets.

    What to do: check the files and options that the message names; the review never changes anything.
    """


class PlanError(ReviewError):
    """The plan or the synthesized stack cannot be parsed.

    What to do: write the plan's JSON again with `terraform show -json`, or synthesize the stack again.
    """
