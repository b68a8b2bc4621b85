"""Money in the database: exact, and the same on SQLite and PostgreSQL."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

UNITS_PER_USD = 10_000
CENT = Decimal("0.01")


def usd_units(amount: Decimal) -> int:
    """`amount` USD as whole units of 1/10,000 USD, half up. Raises ValueError where it is not finite."""
    if not amount.is_finite():
        raise ValueError("An amount of money is finite.")
    return int((amount * UNITS_PER_USD).to_integral_value(rounding=ROUND_HALF_UP))


class UsdField(models.BigIntegerField):  # type: ignore[type-arg] # the stubs know integers only
    """USD as Decimal in Python, as whole units of 1/10,000 USD in the database.

    SQLite keeps a DecimalField as a binary float; integers add up exactly on both databases.
    """

    description = "USD, exact to 1/10,000"

    # What the column takes and gives, for the type checker.
    _pyi_private_set_type: Decimal  # type: ignore[assignment] # the base knows integers only
    _pyi_private_get_type: Decimal  # type: ignore[assignment] # as above

    @staticmethod
    def round(amount: Decimal) -> Decimal:
        """The amount as it will be read back: four places, half up."""
        return (Decimal(usd_units(amount)) / UNITS_PER_USD).quantize(Decimal("0.0001"))

    def from_db_value(self, value: int | Decimal | None, *_: object) -> Decimal | None:
        """The stored units as USD with four places."""
        return None if value is None else (Decimal(value) / UNITS_PER_USD).quantize(Decimal("0.0001"))

    def to_python(self, value: Any) -> Decimal | None:
        """What a fixture or a form holds, as Decimal; floats are refused."""
        if value is None or isinstance(value, Decimal):
            return value
        if isinstance(value, int | str):
            try:
                return Decimal(value)
            except ArithmeticError as error:
                raise ValidationError("Not an amount of money.") from error
        raise ValidationError("Money is a Decimal.")

    def get_prep_value(self, value: Any) -> Any:
        """Decimal to units; an expression stays one."""
        if value is None or hasattr(value, "resolve_expression"):
            return value
        amount = self.to_python(value)
        assert amount is not None  # noqa: S101 # to_python answers None for None only
        return usd_units(amount)
