"""The background thread that signs callbacks, sends them, and sends them again."""

import threading
import time
import uuid
from datetime import timedelta

import httpx

from sandbox.authorities import trusted
from sandbox.buying import apply_verdict
from sandbox.callbacks import POLL_SECONDS
from sandbox.config import Config
from sandbox.deliveries import Attempt, Delivery, Queue, State
from sandbox.signing import FORGER, HEADER, signature_header
from sandbox.verdicts import read_verdict
from sandbox.world import World

COPY_MARK = "X-Callback-Copy"
WORKERS = 4
ANSWER_KEPT = 2000


class Courier:
    """Carries the queue's deliveries to the callback URL, several at a time but one per trade."""

    def __init__(self, world: World, queue: Queue, config: Config) -> None:
        self.world = world
        self.queue = queue
        self.config = config
        self._closing = threading.Event()
        self._client = httpx.Client(
            # A kept connection that the dashboard has closed meanwhile would count as a lost answer.
            limits=httpx.Limits(max_keepalive_connections=0),
            verify=trusted(),
            trust_env=False,
            follow_redirects=False,
        )
        self._free = threading.Semaphore(WORKERS)
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """Stop sending; what was not sent stays queued."""
        self._closing.set()
        self._thread.join(timeout=2)
        self._client.close()

    def wait_for_those_out(self, timeout_seconds: float = 2) -> None:
        """Wait until no callback is on its way; one that hangs is not waited for."""
        taken = sum(self._free.acquire(timeout=timeout_seconds) for _ in range(WORKERS))
        for _ in range(taken):
            self._free.release()

    def _run(self) -> None:
        not_before = 0.0
        while not self._closing.is_set():
            delivery = None
            # Claimed only with a worker free: what waits for one could still be overtaken or reordered.
            if time.monotonic() >= not_before and self._free.acquire(timeout=POLL_SECONDS):
                delivery = self.queue.claim(self.world.clock.now(), self.world.switches)
                if delivery is None:
                    self._free.release()
            if delivery is None:
                with self.queue.changed:
                    self.queue.changed.wait(POLL_SECONDS)
                continue
            not_before = time.monotonic() + self.world.switches.callback_min_interval_seconds
            # A thread, not a pool: a pool's threads are waited for at exit, however long an answer takes.
            threading.Thread(target=self._carry, args=(delivery,), name="courier-run", daemon=True).start()

    def _carry(self, delivery: Delivery) -> None:
        try:
            self._send(delivery)
        finally:
            self._free.release()

    def _send(self, delivery: Delivery) -> None:
        if delivery.decides and delivery.attempts:
            # AssetPay gives each attempt of an approval an id of its own.
            delivery.id = str(uuid.uuid4())
        attempt = self._begin(delivery)
        delivery.attempts.append(attempt)
        switches = self.world.switches
        limit = switches.approval_timeout_seconds if delivery.decides else switches.callback_timeout_seconds
        try:
            answer = self._client.post(
                switches.callback_url,
                content=delivery.body.encode(),
                headers=self._headers(delivery, attempt),
                timeout=limit,
            )
            attempt.status, attempt.answer = answer.status_code, answer.text[:ANSWER_KEPT]
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, ValueError) as error:
            attempt.error = f"{type(error).__name__}: {error}"
        # Stopped in the middle: the attempt's end is unknown, so the delivery stays open for the next start.
        if not self._closing.is_set():
            self._finish(delivery, attempt)

    def _begin(self, delivery: Delivery) -> Attempt:
        switches, clock = self.world.switches, self.world.clock
        moment = clock.now() if switches.signature_clock == "world" else clock.wall()
        moment -= timedelta(seconds=delivery.stale_seconds)
        if switches.stale_retries and delivery.attempts:
            moment = delivery.attempts[0].t
        return Attempt(delivery.id, clock.now(), moment)

    def _headers(self, delivery: Delivery, attempt: Attempt) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "AssetPay-Callback/1.0"}
        if delivery.signed:
            headers[HEADER] = signature_header(
                delivery.body.encode(),
                delivery.id,
                attempt.t,
                (FORGER,) if delivery.forged else self.config.api_secrets,
                with_previous=self.world.switches.sign_with_previous,
            )
        if delivery.copy_mark:
            headers[COPY_MARK] = "1"
        return headers

    def _finish(self, delivery: Delivery, attempt: Attempt) -> None:
        with self.world.lock:
            state, pause = self._next_step(delivery, attempt)
            now = self.world.clock.now()
            self.queue.put_back(delivery, state, None if pause is None else now + timedelta(seconds=pause))
            self.world.changes += 1

    def _next_step(self, delivery: Delivery, attempt: Attempt) -> tuple[State, float | None]:
        if delivery.decides:
            return self._weigh(delivery, attempt)
        if delivery.kind != "news":
            return "ignored", None
        if attempt.status is not None and 200 <= attempt.status < 300:
            return "delivered", None
        switches = self.world.switches
        schedule, failures = switches.retry_schedule_seconds, len(delivery.attempts)
        if failures <= len(schedule):
            return "waiting", schedule[failures - 1]
        if schedule and not switches.retry_give_up:
            return "waiting", schedule[-1]
        return "given_up", None

    def _weigh(self, delivery: Delivery, attempt: Attempt) -> tuple[State, float | None]:
        verdict = read_verdict(attempt.status, attempt.answer)
        if verdict is None and len(delivery.attempts) < self.world.switches.approval_attempts:
            return "waiting", self.world.switches.approval_pause_seconds
        trade = self.world.trades.get(delivery.trade_id or "")
        if trade is not None:
            apply_verdict(self.world, trade, verdict or "timeout", self.world.clock.now())
        return ("failed" if verdict is None else "delivered"), None
