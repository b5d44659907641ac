"""Errors that end a review without a result."""


class ReviewError(Exception):
    """No review can be made; the message says what was found and never quotes the input, which may be secret.

    What to do: check the files and options that the message names; the review never changes anything.
    """


class PlanError(ReviewError):
    """The plan, or the synthesized stack, cannot be read as one.

    What to do: write the plan's JSON again with `terraform show -json`, or synthesize the stack again.
    """
