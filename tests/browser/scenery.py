"""A desk in the middle of its day, made through the real actions: for pictures, and for a look at every screen."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.test import override_settings
from django.utils import timezone
from playwright.sync_api import Page

from tests.desk import ask, deliver, item_of, news, person
from tests.factories import PASSWORD, RejectedCallFactory
from tests.wire import item_document, stamp
from withdrawals.actions.audit import Origin
from withdrawals.actions.batches import draft_batch, start_batch
from withdrawals.actions.cancellations import arm_cancellation, undo_cancellation
from withdrawals.actions.presence import mark_presence
from withdrawals.actions.refund_corrections import waive_refund
from withdrawals.actions.refunds import confirm_refund
from withdrawals.actions.sending import claim_next, record_answer
from withdrawals.assetpay.errors import OutcomeUnknown, Refused
from withdrawals.gateway import CancelAnswer
from withdrawals.models import Cancellation, Item, Refund, Role, Source, User, WalletReading

CAST = (
    ("AK-47 | Redline (Field-Tested)", "24.90"),
    ("AWP | Asiimov (Battle-Scarred)", "96.40"),
    ("★ Karambit | Doppler (Factory New)", "1184.00"),
    ("M4A1-S | Printstream (Minimal Wear)", "148.75"),
    ("Glock-18 | Fade (Factory New)", "412.10"),
    ("Desert Eagle | Blaze (Factory New)", "386.00"),
    ("USP-S | Kill Confirmed (Field-Tested)", "41.35"),
    ("Sticker | Crown (Foil)", "18.06"),
    ("MAC-10 | Neon Rider (Minimal Wear)", "6.85"),
    ("P250 | See Ya Later (Factory New)", "3.12"),
)


# Which button opens each dialog.
OPENERS = {
    "dialog-cancel": "Cancel item",
    "dialog-arm": "Cancel when allowed",
    "dialog-whole": "Cancel whole trade",
    "dialog-settle": "Settle",
    "dialog-refund": "Confirm refund",
}


KEYS = {"palette": "Control+k", "keys": "?"}


def bring_to(page: Page, name: str) -> None:
    """From the address of a screen to its state: a dialog is opened from its list, a row is ticked, a menu opened."""
    if name in OPENERS:
        page.locator("button:enabled", has_text=OPENERS[name]).first.click()
        page.locator("dialog[open]").wait_for()
    elif name in KEYS:
        page.keyboard.press(KEYS[name])
        page.locator("dialog[open]").wait_for()
    elif name == "items-ticked":
        for place in range(3):
            page.locator(".pick input").nth(place).check()
    elif name == "items-columns":
        page.locator(".columns-menu summary").click()
    elif name == "items-compact":
        page.evaluate("document.documentElement.dataset.density = 'compact'")
    elif name == "views-new":
        page.get_by_text("Save this view").click()
    elif name == "toast":
        page.get_by_role("button", name="Cancel item").first.click()
        page.get_by_label("Reason").select_option("Customer asked")
        page.locator("dialog[open] button[type=submit]").last.click()
        page.locator(".toast").wait_for()


@dataclass(frozen=True)
class Scenery:
    """Who is there, and where to look."""

    agent: str
    supervisor: str
    trade: int
    delivery: int
    draft: int
    batch: int
    unknown: int
    large: int
    due: int
    doubtful: int
    paid: int
    waived: int
    item: int
    admin: str
    person: int

    def screens(self) -> dict[str, str]:
        """The path of each screen worth a look, by name."""
        return {
            "overview": "/",
            "overview-week": "/?range=7d",
            "find": "/search/",
            "find-nothing": "/search/?q=66ffffffffffffffffffffff",
            "palette": "/items/",
            "keys": "/items/",
            "items": "/items/",
            "items-soon": "/items/?tab=soon",
            "items-open": "/items/?tab=open",
            "items-ended": "/items/?tab=done",
            "items-all": "/items/?tab=all&sort=-price",
            "items-empty": "/items/?q=nothing-like-it",
            "items-no-such-tab": "/items/?tab=cancelled",
            "items-columns": "/items/?hide=trade,from",
            "items-compact": "/items/?tab=all",
            "items-ticked": "/items/",
            "views-new": "/items/?tab=all&q=ak",
            "dialog-cancel": "/items/",
            "dialog-arm": "/items/?tab=soon",
            "dialog-whole": f"/trades/{self.trade}/",
            "dialog-settle": "/cancellations/?state=person",
            "batches": "/batches/",
            "batch-preview": f"/batches/{self.draft}/",
            "batch": f"/batches/{self.batch}/",
            "batch-leftovers": f"/items/?batch={self.batch}",
            "sending": "/sending/",
            "cancellations-stuck": "/cancellations/?state=person",
            "settle": f"/cancellations/{self.unknown}/settle/",
            "trades": "/trades/",
            "trade": f"/trades/{self.trade}/",
            "document": f"/trades/{self.trade}/document/",
            "cancellations": "/cancellations/",
            "refunds": "/refunds/",
            "refunds-in-review": "/refunds/?state=in_review",
            "refunds-confirmed": "/refunds/?state=confirmed",
            "refunds-awaiting": "/refunds/?state=awaiting",
            "refunds-waived": "/refunds/?state=waived",
            "refund-approve": f"/refunds/{self.large}/approve/",
            "refund-send-back": f"/refunds/{self.large}/send-back/",
            "refund-confirm": f"/refunds/{self.due}/confirm/",
            "refund-waive": f"/refunds/{self.due}/waive/",
            "refund-amount": f"/refunds/{self.doubtful}/amount/",
            "refund-compensate": f"/refunds/{self.paid}/compensate/",
            "refund-reopen": f"/refunds/{self.waived}/reopen/",
            "refund-rules": "/refunds/rules/",
            "money": "/refunds/money/",
            "case-file": f"/items/{self.item}/case/",
            "customer-text": f"/items/{self.item}/customer-text/",
            "dialog-refund": "/refunds/",
            "deliveries": "/deliveries/",
            "deliveries-replay": "/deliveries/replay/?verdict=person",
            "alarms": "/alarms/",
            "audit-item": f"/audit/items/{self.item}/",
            "audit-trade": f"/audit/trades/{self.trade}/",
            "batches-empty": "/batches/?state=stopped",
            "trades-empty": "/trades/?q=nothing-like-it",
            "cancellations-empty": "/cancellations/?state=overtaken",
            "deliveries-empty": "/deliveries/?verdict=failed",
            "delivery": f"/deliveries/{self.delivery}/",
            "promises": "/invariants/",
            "audit": "/audit/",
            "second-factor": "/accounts/2fa/",
            "password": "/accounts/password/change/",
            "not-found": "/nowhere/",
            # Last, as it changes what the others show.
            "toast": "/items/",
        }

    def screens_of_admins(self) -> dict[str, str]:
        """What only an admin sees."""
        return {"people": "/people/", "person": f"/people/{self.person}/"}


def make_scenery() -> Scenery:
    """Trades in every state, cancellations in most, refunds, odd callbacks and three people."""
    now = timezone.now()
    agent = _person("agent@desk.example", Role.AGENT)
    supervisor = _person("supervisor@desk.example", Role.SUPERVISOR)
    for number, (name, price) in enumerate(CAST):
        _call(now - timedelta(minutes=95 - 9 * number), f"{number:02}", [(name, price)], "pending")
    _call(now - timedelta(hours=3), "many", list(CAST[:4]), "pending", ended={"0": "completed", "1": "active"})
    ended = {"ffa": "reverted", "ffb": "reverted", "ffc": "declined", "ffd": "completed"}
    for tail, status in ended.items():
        opened = now - timedelta(hours=5)
        _call(opened, tail, [CAST[int(tail, 16) % 10]], "pending")
        item = _item(tail)
        if tail != "ffd":
            _answered(ask(item, actor=agent, now=opened + timedelta(minutes=40)).item, opened + timedelta(minutes=41))
        end = now - timedelta(minutes=30 + len(tail))
        _call(opened, tail, [CAST[int(tail, 16) % 10]], status, reported=end, price="23.50")
    for tail, cast in (("fa0", CAST[2]), ("fa1", CAST[7])):
        _call(now - timedelta(hours=6), tail, [cast], "reverted", reported=now - timedelta(minutes=50))
    _asked_in_every_way(agent, now)
    _confirm("ffb", supervisor, now)
    _confirm("fa0", agent, now)
    _waive("fa1", supervisor, now)
    WalletReading.objects.create(
        read_at=now - timedelta(minutes=9),
        last_read_at=now - timedelta(minutes=1),
        balance=Decimal("18211.40"),
        pending_balance=Decimal("412.10"),
        escrow_balance=Decimal(0),
        currency="usd",
    )
    deliver(b'{"trade":{"id":"66f0', now=now - timedelta(minutes=12))
    RejectedCallFactory(received_at=now - timedelta(minutes=50))
    odd = deliver(
        news(
            _id("odd"),
            status="teleporting",
            items=[item_document(f"{_id('odd')}0", status="teleporting")],
            createdAt=stamp(now - timedelta(hours=2)),
            updatedAt=stamp(now - timedelta(hours=1)),
            gizmo=1,
        ),
        now=now - timedelta(minutes=58),
    )
    draft, batch = _batches(agent, supervisor, now)
    admin = _person("admin@desk.example", Role.ADMIN)
    return Scenery(
        agent.email,
        supervisor.email,
        item_of(_id("many"), f"{_id('many')}0").trade_id,
        odd.pk,
        draft=draft,
        batch=batch,
        unknown=Cancellation.objects.get(item=_item("02")).pk,
        large=Refund.objects.get(item=_item("fa0")).pk,
        due=Refund.objects.get(item=_item("ffa")).pk,
        doubtful=Refund.objects.get(item=_item("ffc")).pk,
        paid=Refund.objects.get(item=_item("ffb")).pk,
        waived=Refund.objects.get(item=_item("fa1")).pk,
        item=_item("ffb").pk,
        admin=admin.email,
        person=agent.pk,
    )


def _person(email: str, role: Role) -> User:
    who = person(role, email)
    who.set_password(PASSWORD)
    who.save(update_fields=["password"])
    return who


def _id(tail: str) -> str:
    return f"66f0a1b2c3d4e5f6a7{tail:0>6}"


def _item(tail: str) -> Item:
    return item_of(_id(tail), f"{_id(tail)}0")


def _call(
    opened: datetime,
    tail: str,
    cast: list[tuple[str, str]],
    status: str,
    *,
    reported: datetime | None = None,
    price: str = "",
    ended: dict[str, str] | None = None,
) -> None:
    moment = reported or opened
    items: list[dict[str, Any]] = [
        item_document(
            f"{_id(tail)}{place}",
            marketHashName=name,
            status=(ended or {}).get(str(place), status),
            offer={"price": Decimal(price or cost)},
        )
        for place, (name, cost) in enumerate(cast)
    ]
    body = news(
        _id(tail),
        status=status,
        items=items,
        totalPrice=sum(Decimal(cost) for _, cost in cast),
        externalId=f"order-{tail}",
        externalClientUserId=f"player-{tail}",
        autoCancelAt=stamp(opened + timedelta(hours=12)),
        clientSteamID=f"765611980{sum(map(ord, tail)):08}",
        createdAt=stamp(opened),
        updatedAt=stamp(moment),
    )
    deliver(body, now=moment)


def _answered(item: Item, now: datetime, answer: CancelAnswer | Exception | None = None) -> None:
    claim = claim_next(now=now)
    assert claim is not None
    assert claim.cancellation.item == item
    request_id = str(claim.attempt.request_id)
    record_answer(
        claim,
        answer or CancelAnswer(item.trade.assetpay_id, item.assetpay_id, None, request_id),
        now=now + timedelta(seconds=1),
    )


def _asked_in_every_way(agent: User, now: datetime) -> None:
    moment = now - timedelta(minutes=2)
    refused = Refused("TRADE_NOT_CANCELLABLE", 28, "Trade cannot be cancelled", "req-7f21", 409)
    lost = OutcomeUnknown(reason="no answer within 10 s", http_status=None, request_id="", lost_answer=False)
    for tail, answer in (("00", None), ("01", refused), ("02", lost)):
        item = ask(_item(tail), actor=agent, now=moment).item
        _answered(item, moment + timedelta(seconds=10), answer)
    origin = Origin(Source.SCREEN, actor=agent)
    with override_settings(UNDO_SECONDS=5):
        taken = ask(_item("03"), actor=agent, now=moment)
    undo_cancellation(cancellation_id=taken.pk, actor=agent, origin=origin, now=moment + timedelta(seconds=3))
    with override_settings(UNDO_SECONDS=120):
        ask(_item("04"), actor=agent, now=now)


def _batches(agent: User, supervisor: User, now: datetime) -> tuple[int, int]:
    """One that somebody looks at and one that runs, armed items, a trade that can be cancelled whole, a colleague."""
    _call(now - timedelta(hours=1), "whole", list(CAST[4:7]), "pending")
    for number in range(4):
        _call(now - timedelta(minutes=3 + number), f"e{number}", [CAST[number]], "pending")
    for number in range(12):
        _call(now - timedelta(hours=2), f"b{number:02}", [CAST[number % 10]], "pending")
    origin = Origin(Source.SCREEN, actor=agent)
    arm_cancellation(
        item_id=_item("e0").pk, reason="Delivery takes too long", note="", actor=agent, origin=origin, now=now
    )
    young, delivered, taken = _item("e1"), _item("ffd"), _item("04")
    chosen = [*(_item(f"b{number:02}") for number in range(6, 12)), young, delivered, taken]
    draft = draft_batch(
        item_ids=[item.pk for item in chosen],
        selection="9 rows ticked by hand",
        actor=supervisor,
        origin=origin,
        now=now,
    )
    many = [*(_item(f"b{number:02}").pk for number in range(6)), _item("e2").pk, delivered.pk]
    batch = draft_batch(
        item_ids=many, selection="“Can be cancelled”, named like “redline”", actor=supervisor, origin=origin, now=now
    )
    theirs = Origin(Source.SCREEN, actor=supervisor)
    with override_settings(UNDO_SECONDS=0):
        start_batch(batch_id=batch.pk, reason="Customer asked", note="", actor=supervisor, origin=theirs, now=now)
    refused = Refused("TRADE_NOT_CANCELLABLE", 28, "Trade cannot be cancelled", "req-7f21", 409)
    for answer in (None, refused):
        claim = claim_next(now=now)
        assert claim is not None
        item = claim.cancellation.item
        said = CancelAnswer(item.trade.assetpay_id, item.assetpay_id, None, str(claim.attempt.request_id))
        record_answer(claim, answer or said, now=now + timedelta(seconds=1))
    mark_presence(actor=agent, item_id=_item("05").pk, trade_id=None, now=now + timedelta(minutes=10))
    return draft.pk, batch.pk


def _confirm(tail: str, who: User, now: datetime) -> None:
    refund = Refund.objects.select_related("item").get(item=_item(tail))
    confirm_refund(
        refund_id=refund.pk,
        seen=refund.fingerprint(),
        reference="payout-2026-11-0481",
        actor=who,
        origin=Origin(Source.SCREEN, actor=who),
        now=now - timedelta(minutes=5),
    )


def _waive(tail: str, who: User, now: datetime) -> None:
    refund = Refund.objects.select_related("item").get(item=_item(tail))
    waive_refund(
        refund_id=refund.pk,
        seen=refund.fingerprint(),
        reason="Paid in the shop, see ticket 7741",
        actor=who,
        origin=Origin(Source.SCREEN, actor=who),
        now=now - timedelta(minutes=4),
    )
