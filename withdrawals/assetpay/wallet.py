"""The merchant's wallet at AssetPay. Its ledger shows no settlement of a trade, so these sums are all there is."""

from dataclasses import dataclass
from decimal import Decimal

from withdrawals.assetpay.answers import Opened
from withdrawals.assetpay.documents import clean_text
from withdrawals.assetpay.fields import MAX_MONEY, MAX_WORD_LENGTH


@dataclass(frozen=True)
class Wallet:
    """What AssetPay holds for the merchant, in USD: to spend now, uncleared or locked, and in escrow."""

    balance: Decimal
    pending_balance: Decimal
    escrow_balance: Decimal
    currency: str


def read_wallet(opened: Opened) -> Wallet:
    """Return the balances; raises OutcomeUnknown where one is missing or no number. A debt is a balance too.

    Source: AssetPay's OpenAPI 0.8.3, GET /v1/wallets/me/balance: all four fields are required.
    """
    data = opened.data
    if not isinstance(data, dict) or not isinstance(data.get("currency"), str):
        raise opened.doubt("answer is not a wallet")
    sums = [_sum(data.get(name)) for name in ("balance", "pendingBalance", "escrowBalance")]
    if any(amount is None for amount in sums):
        raise opened.doubt("answer has no usable balance")
    balance, pending, escrow = (amount for amount in sums if amount is not None)
    return Wallet(balance, pending, escrow, clean_text(data["currency"])[:MAX_WORD_LENGTH])


def _sum(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and abs(amount) < MAX_MONEY else None
