"""What the control interface accepts, each body as a type of its own."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.model import RevertedBy, Script, Source, TradeType
from sandbox.statuses import Status

Price = Annotated[Decimal, Field(gt=0, le=100_000)]
Ref = Annotated[str, Field(min_length=1, max_length=128)]
STEAM_ID = Annotated[str, Field(pattern=r"^76561\d{12}$")]


class Input(BaseModel):
    """A control body: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class NewItem(Input):
    """One item of a trade to make up."""

    name: str | None = None
    price: Price = Decimal("25.50")
    id: Ref | None = None
    status: Status | None = None
    external_id: Ref | None = None
    error: str | None = None
    internal_pool: bool = False
    supplier: Script | None = None


class NewTrade(Input):
    """A trade to make up, as old as wanted."""

    game: Literal["730", "252490"] = "730"
    source: Source = "client"
    type: TradeType = "withdraw"
    status: Status = Status.PENDING
    id: Ref | None = None
    steam_id: STEAM_ID = "76561198034202275"
    trade_url: str | None = None
    external_id: Ref | None = None
    external_client_user_id: str | None = None
    age_seconds: float = Field(default=0, ge=0)
    auto_cancel_seconds: float | None = Field(default=None, ge=0)
    items: list[NewItem] = Field(default_factory=lambda: [NewItem()], min_length=1, max_length=1000)
    total_price: Price | None = None
    error: str | None = None
    reverted_by: RevertedBy | None = None
    supplier: Script = Script.ACCEPT
    supplier_delay_seconds: float | None = Field(default=None, ge=0)
    announce: bool = True


class ItemChange(Input):
    """A change to one item."""

    status: Status | None = None
    error: str | None = None
    price: Price | None = None
    name: str | None = None
    supplier: Script | None = None
    announce: bool = True


class TradeChange(Input):
    """A change to a trade. Items that stood where the trade stood follow its new status."""

    status: Status | None = None
    reverted_by: RevertedBy | None = None
    error: str | None = None
    total_price: Price | None = None
    item_prices: dict[str, Price] = Field(default_factory=dict)
    items_follow: bool = True
    supplier: Script | None = None
    supplier_delay_seconds: float | None = Field(default=None, ge=0)
    announce: bool = True


class Announcement(Input):
    """A notice to send now, with whatever is to be wrong with it."""

    duplicate: int = Field(default=0, ge=0, le=1000)
    together: bool = False
    forge: bool = False
    stale_seconds: float = 0
    delivery_id: str | None = None
    copy_mark: bool | None = None


class Approval(Input):
    """An approval to ask for now."""

    copy_mark: bool | None = None


class RawCallback(Announcement):
    """Any body to post: JSON, or text exactly as given."""

    body: Any = None
    text: str | None = None
    signed: bool = True
    kind: Literal["news", "approval", "other"] = "news"


class Skip(Input):
    """Time to let pass at once."""

    advance_seconds: float = Field(ge=0, le=10 * 365 * 24 * 3600)


class Patience(Input):
    """How long to wait for the queue."""

    timeout_seconds: float = Field(default=30, gt=0, le=600)
