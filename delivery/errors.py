"""What ends a step with one sentence."""


class DeliveryError(Exception):
    """The step cannot go on; the message says what was found and what to do.

    What to do: do what the end of the message says, then run the job again.
    """
