"""The sandbox's clock: the machine's time plus whatever a test has skipped."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Tells the world's time, which only ever moves forward of the machine's."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds

    def now(self) -> datetime:
        """The world's time, aware, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.offset_seconds)

    def wall(self) -> datetime:
        """The machine's time, aware, in UTC, whatever was skipped."""
        return datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        """Skip `seconds` of the world's time."""
        self.offset_seconds += seconds

    def reset(self) -> None:
        """Go back to the machine's time."""
        self.offset_seconds = 0.0
