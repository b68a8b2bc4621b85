"""The one way in which the control interface says no."""


class Misuse(Exception):
    """A control call that cannot be carried out; its text says why."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status
