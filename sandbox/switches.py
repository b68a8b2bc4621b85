"""Every point on which AssetPay's pages are silent or disagree, as a switch with the default we bet on."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.statuses import Status

Probability = Field(default=0.0, ge=0, le=1)


class UnknownSwitch(ValueError):
    """A patch names a switch that does not exist, or gives it a value it cannot take."""


class Switches(BaseModel):
    """The sandbox's behaviour at one moment; never changed, only replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # Cancelling
    cancels_per_minute: int = Field(default=10, ge=0)
    """10 for an unverified merchant, 60 for a verified one, over all cancel routes together."""
    cancel_window_seconds: float = Field(default=1800, ge=0)
    """Age from which an item may be cancelled; counted from the trade's creation: items carry no date."""
    cancel_refusal_status: Literal[400, 404, 409, 422] = 400
    """The HTTP status of the three cancel refusals is documented nowhere."""
    rust_refusal: Literal["TRADE_CANCEL_UNSUPPORTED", "TRADE_NOT_CANCELLABLE"] = "TRADE_CANCEL_UNSUPPORTED"
    """Older pages file Rust under not cancellable, newer ones have a key of its own."""
    unknown_trade_key: Literal["TRADE_NOT_FOUND", "ITEM_NOT_FOUND", "NOT_FOUND", "FORBIDDEN"] = "TRADE_NOT_FOUND"
    """Which key a cancel of an unknown trade gets is not stated."""
    declined_is_final: bool = True
    """One page leaves declined out of the final statuses of the cancel rule."""
    cancellable_statuses: tuple[Status, ...] = (Status.INITIATED, Status.PENDING, Status.ACTIVE, Status.HOLD)
    """Only ended items are excluded in writing; whether an offered or held one may be cancelled is not."""
    repeat_cancel: Literal["accept", "refuse"] = "accept"
    """A second cancel while the first is in flight: 200 again, or 28."""
    retry_after: Literal["seconds", "date", "absurd", "none"] = "seconds"
    """Nothing says that a 429 carries Retry-After, nor in which form."""

    # What becomes of trades
    supplier_delay_seconds: float = Field(default=5, ge=0)
    """How long after the 200 the supplier acts: undocumented."""
    late_seconds: float = Field(default=900, ge=0)
    """How long a late supplier takes."""
    auto_cancel_acts: bool = True
    """Off: autoCancelAt is shown but nothing happens at that moment."""
    auto_cancel_status: Literal[Status.REVERTED, Status.CANCELED] = Status.REVERTED
    """Which status an auto-cancelled item gets is not stated."""
    mixed_open_status: Literal["most_advanced", "least_advanced"] = "most_advanced"
    """The trade status while items stand differently is not documented."""
    reverted_by: Literal["supplier", "user", "absent"] = "supplier"
    """revertedBy after a cancel is not documented."""
    hold_seconds: float = Field(default=604800, ge=0)
    """Steam's protection window: about seven days."""

    # Reading
    client_trade_lookup: bool = False
    """GET /client/trades/{id} is mentioned on one page and missing everywhere else."""
    secure_reads_client_trades: bool = True
    """Whether the api-key look-up shows end users' trades: the newer sources say yes."""
    validation_status: Literal[400, 422] = 422
    """VALIDATION_FAILED is 422 in the error table and 400 in the OpenAPI."""
    adopt_request_id: bool = False
    """Whether the caller's x-request-id becomes the answer's requestId is not stated."""

    # Signing in
    authorization: Literal["both", "bearer", "bare"] = "both"
    """The SDK sends Bearer, the pages show the bare token."""
    expired_token_key: Literal["TOKEN_EXPIRED", "TOKEN_INVALID_OR_EXPIRED", "INVALID_TOKEN"] = "TOKEN_EXPIRED"  # noqa: S105 - a key, no secret
    """Three keys exist for an expired token."""
    api_key_lacks_scope: bool = False
    """On: the api-key is known but has no CORE_ACCESS."""
    scope_key: Literal["INSUFFICIENT_SCOPE", "API_KEY_SCOPE_DENIED"] = "INSUFFICIENT_SCOPE"
    """The SDK and the error table name 1903 differently."""

    # Buying and outages
    price_changed_status: Literal[400, 409] = 409
    """PRICE_CHANGED is 400 in one place and 409 in another."""
    withdrawals_paused: bool = False
    """On: creating withdrawals answers 503."""
    paused_key: Literal["WITHDRAWALS_PAUSED", "SERVICE_UNAVAILABLE"] = "WITHDRAWALS_PAUSED"
    """The SDK and the error table name the pause differently."""
    maintenance: bool = False
    """On: 503 SYSTEM_MAINTENANCE on everything but /health."""
    maintenance_blocks_cancels: bool = True
    """Whether cancels work during maintenance is not stated."""

    # Callbacks
    callback_url: str = ""
    """The merchant's one callback URL; empty sends nothing."""
    copy_mark: bool = True
    """On: the dashboard is sent copies by the merchant's backend, marked, and its answers decide nothing."""
    announce_item_changes: bool = True
    """Whether an item's change without a change of the trade's status is sent."""
    callback_timeout_seconds: float = Field(default=15, gt=0)
    """How long a notice may take."""
    retry_schedule_seconds: tuple[float, ...] = (2, 5, 10, 30, 60, 300)
    """Pauses between attempts of a notice; the real schedule is not published."""
    retry_give_up: bool = True
    """Off: the last pause repeats for ever."""
    stale_retries: bool = False
    """On: a retry repeats the first attempt's t instead of a fresh one."""
    signature_clock: Literal["wall", "world"] = "wall"
    """Skipping the world's clock must not by itself make every signature look dated."""
    sign_with_previous: bool = False
    """On: secrets are being rotated, and s1 carries the previous one's signature."""
    duplicate_probability: float = Probability
    """Chance that a notice is sent twice under one id."""
    drop_probability: float = Probability
    """Chance that a notice is never sent."""
    order: Literal["natural", "reversed", "shuffled"] = "natural"
    """Nothing is promised about order; the other two collect notices for a window and then mix them."""
    reorder_window_seconds: float = Field(default=2, gt=0)
    """How long notices are collected before they are sent in the wrong order."""
    callback_min_interval_seconds: float = Field(default=0, ge=0)
    """Least time between two sends, to be gentle with a small dashboard."""

    # Approvals
    approval_timeout_seconds: float = Field(default=10, gt=0)
    """10 s in the SDK, 15 s on one page."""
    approval_attempts: int = Field(default=3, ge=1)
    """Failed attempts after which an approval counts as refused."""
    approval_pause_seconds: float = Field(default=1, ge=0)
    """The pause between attempts is not documented."""
    merchant_verdict: Literal["approve", "reject", "timeout", "wait"] = "approve"
    """What the merchant's own backend says while the dashboard only gets copies; wait never decides."""
    merchant_verdict_seconds: float = Field(default=1, ge=0)
    """How long the merchant's backend thinks."""
    rejected_status: Literal[Status.FAILED, Status.CANCELED] = Status.FAILED
    """A rejected withdrawal ends failed; an older generation said cancelled."""
    lapsed_status: Literal[Status.DECLINED, Status.FAILED] = Status.DECLINED
    """An offer that lapses unaccepted is listed under both."""

    def patched(self, patch: dict[str, Any]) -> Self:
        """These switches with some replaced; raises UnknownSwitch with a sentence that names the culprit."""
        for name in patch:
            if name not in type(self).model_fields:
                raise UnknownSwitch(f"There is no switch called {name!r}.")
        try:
            return type(self).model_validate({**self.model_dump(exclude_unset=True), **patch})
        except ValidationError as error:
            first = error.errors()[0]
            raise UnknownSwitch(f"Switch {first['loc'][0]!r}: {first['msg']}.") from None
