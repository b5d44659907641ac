"""What ends a review before it can be trusted."""


class ReviewError(Exception):
    """No review can be made; the message says what was found and never quotes the input, which may be secret."""


class PlanError(ReviewError):
    """The plan, or the synthesized stack, cannot be read as one."""
