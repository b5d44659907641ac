"""The exception that ends a step with one message."""


class DeliveryError(Exception):
    """The step failed; the message says what failed, why, and what to do next.

    What to do: do what the end of the message says, then run the job again.
    """
