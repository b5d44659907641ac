"""The error of a violated invariant."""


class ViolationError(BaseException):
    """An invariant does not hold. Not an Exception, so that no handler takes it for an error of a service."""


def require(condition: bool, message: str) -> None:
    """Raise ViolationError unless the condition holds."""
    if not condition:
        raise ViolationError(message)
