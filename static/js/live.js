// A page keeps itself fresh. Every few seconds it asks for its own address again, and hears 304 while nothing changed;
// what came is put into the page without taking anything out of anybody's hands: ticks, focus, scroll, and the row
// under the pointer. Nothing is asked while nobody can see the page.

import { focusWithin } from './focus.js';
import { t } from './words.js';

const EVERY_MS = 4_000;
const OLD_AFTER_MS = 15_000;
const GIVE_UP_MS = 20_000;
// More rows than this are not kept on a screen: the oldest of those that left the list go.
const MOST_ROWS = 200;

const line = document.querySelector('[data-live-line]');
const list = () => document.querySelector('[data-live-list]');
const body = () => document.querySelector('[data-live-rows]');
const rowsIn = (place) => [...(place?.children ?? [])].filter((row) => row.id);

let asked = 0;
let shown = 0;
let facts = 0;
let tag = '';
let freshAt = performance.getEntriesByType('navigation')[0]?.responseStart || performance.now();
let hasFailed = false;
let lastShownAskAt = 0;
// The latest order of the list, and rows of it that wait until nobody is in their way.
let order = [];
let waiting = new Map();
// What the server said of each row and part, and when something else last brought it.
const said = new Map();
const broughtAt = new Map();
// The ids of what HTMX is about to bring.
const underWay = new Set();
// While a finger or a button is down: what is replaced between pressing and letting go would miss its click.
let isPressed = false;
document.addEventListener('pointerdown', () => { isPressed = true; }, true);
for (const event of ['pointerup', 'pointercancel']) document.addEventListener(event, () => { isPressed = false; }, true);

// --- Asking ---

async function ask() {
  if (!line || document.hidden) return;
  const number = ++asked;
  const at = performance.now();
  const headers = {
    // As HTMX asks, so that a session that ended leads the whole page to log-in; and as nobody's hand asks.
    'HX-Request': 'true', 'HX-Current-URL': location.href, 'X-Background': '1',
    'X-Live': rowsIn(body()).map((row) => row.id.split('-')[1]).join(','),
  };
  if (tag) headers['If-None-Match'] = tag;
  try {
    const answer = await fetch(location.pathname + location.search, { headers, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(GIVE_UP_MS) });
    const login = answer.headers.get('HX-Redirect');
    if (login) { location.assign(login); return; }
    if (answer.status !== 304 && !answer.ok) throw new Error(`answered ${answer.status}`);
    const newTag = answer.headers.get('ETag') ?? '';
    const page = answer.status === 304 ? null : new DOMParser().parseFromString(await answer.text(), 'text/html');
    take(page, { number, at, newTag });
  } catch {
    if (number > shown) hasFailed = true;
  }
  tellAge();
}

// An answer to an older question, or one that knows fewer facts than the page does, changes nothing. One that comes in
// the middle of a click is left aside: the next one tells the same.
function take(page, { number, at, newTag }) {
  const known = Number.parseInt(newTag.replace(/^(W\/)?"/, ''), 10) || 0;
  if (number < shown || known < facts || (page && isPressed)) return;
  [shown, facts, tag, freshAt, hasFailed] = [number, known, newTag, at, false];
  if (!page) return;
  lastShownAskAt = at;
  if (document.title !== page.title) document.title = page.title;
  const [icon, newIcon] = [document, page].map((each) => each.querySelector('link[rel="icon"]'));
  if (newIcon && icon.getAttribute('href') !== newIcon.getAttribute('href')) icon.setAttribute('href', newIcon.getAttribute('href'));
  keepPlace(() => {
    refreshParts(page);
    refreshRows(page, at);
  });
  // What waits for an answer of its own was passed over: the next question has all of it told again.
  if (document.querySelector('[data-live-part] .htmx-request, [data-live-rows] .htmx-request')) tag = '';
  tellNews();
}

// --- What stands around the rows ---

// Two answers about the same thing are compared by this: without what differs each time, and without what a person or
// a script of the page did to it.
function essence(element) {
  const copy = element.cloneNode(true);
  copy.querySelectorAll('input[name="csrfmiddlewaretoken"], input[name="next"]').forEach((field) => field.remove());
  copy.querySelectorAll('.thing img, .no-picture').forEach((picture) => picture.remove());
  copy.querySelectorAll('.here bdi').forEach((words) => { words.textContent = ''; });
  copy.querySelectorAll('[data-copy]').forEach((button) => { button.hidden = true; delete button.dataset.copied; });
  copy.querySelectorAll('time').forEach((time) => {
    time.textContent = '';
    time.removeAttribute('title');
    delete time.dataset.zoned;
  });
  return copy.innerHTML.replace(/\s+/g, ' ') + (element.dataset.version ?? '');
}

function refreshParts(page) {
  let hasNew = false;
  for (const part of page.querySelectorAll('[data-live-part]')) {
    const name = part.dataset.livePart;
    const old = document.querySelector(`[data-live-part="${name}"]`);
    const text = essence(part);
    if (!old) {
      if (name === 'notices') document.querySelector('.page')?.prepend(document.adoptNode(part));
      continue;
    }
    if ((said.get(name) ?? essence(old)) === text || old.querySelector('.htmx-request')) continue;
    said.set(name, text);
    const focus = old.contains(document.activeElement) ? document.activeElement : null;
    const aside = old.firstElementChild?.scrollLeft ?? 0;
    old.replaceChildren(...[...part.childNodes].map((node) => document.adoptNode(node)));
    if (aside) old.firstElementChild?.scrollTo({ left: aside, behavior: 'instant' });
    window.htmx?.process(old);
    if (focus) giveFocusIn(old, focus);
    hasNew = true;
  }
  if (hasNew) brought();
  const gone = document.querySelector('[data-live-part="notices"]');
  if (gone && !page.querySelector('[data-live-part="notices"]')) gone.remove();
}

function giveFocusIn(part, focus) {
  const link = focus.getAttribute('href');
  const same = (focus.id && document.getElementById(focus.id)) || (link && [...part.querySelectorAll('a')].find((each) => each.getAttribute('href') === link));
  if (same && !same.disabled) same.focus({ preventScroll: true });
  else focusWithin(part);
}

// --- Rows ---

function refreshRows(page, at) {
  const fresh = page.querySelector('[data-live-rows]');
  if (!list()) return;
  if (!body() || !fresh) {
    // A list that was empty, or an empty answer: with rows on the screen these stay, as they left one by one.
    if (!body() && fresh && !list().contains(document.activeElement)) {
      list().replaceChildren(...page.querySelector('[data-live-list]').childNodes);
      window.htmx?.process(list());
      brought();
    }
    return;
  }
  const all = rowsIn(fresh);
  order = all.slice(0, Number(fresh.dataset.liveRows)).map((row) => row.id);
  waiting = new Map();
  for (const row of all) {
    const old = document.getElementById(row.id);
    if (!old) waiting.set(row.id, row);
    else if (!isNewer(old, at)) renew(old, row);
  }
  if (!isHeld()) settle();
}

// Whether something else brought this row after the question was asked, or is about to; or a button in it has asked for
// a dialog, whose answer would not find its way from a row that is gone.
function isNewer(row, at) {
  return (broughtAt.get(row.id) ?? 0) >= at || underWay.has(row.id) || row.querySelector('.htmx-request') !== null;
}

function renew(old, row) {
  const words = row.querySelector('.here bdi')?.textContent ?? '';
  const oldWords = old.querySelector('.here bdi');
  if (oldWords && oldWords.textContent !== words) oldWords.textContent = words;
  const text = essence(row);
  if ((said.get(old.id) ?? essence(old)) === text) return;
  said.set(old.id, text);
  const focus = old.contains(document.activeElement) ? document.activeElement : null;
  const isTicked = old.querySelector('.pick input')?.checked;
  const place = document.adoptNode(row);
  old.replaceWith(place);
  window.htmx?.process(place);
  if (isTicked && place.querySelector('.pick input')) place.querySelector('.pick input').checked = true;
  if (focus) giveFocus(place, old, focus);
  mark(place);
  brought();
}

function giveFocus(place, old, focus) {
  if (focus === old) { place.tabIndex = -1; place.focus({ preventScroll: true }); return; }
  const same = (focus.id && document.getElementById(focus.id)) || place.querySelector(focus.name ? `[name="${focus.name}"]` : 'a[href]');
  if (same && !same.disabled) same.focus({ preventScroll: true });
  else focusWithin(place);
}

// The order stands still while a row is ticked, a dialog is open, or the pointer is over the rows.
function isHeld() {
  const points = window.matchMedia('(hover: hover)').matches && body()?.matches(':hover');
  return points || Boolean(document.querySelector('dialog[open], .pick input:checked'));
}

// New rows to their places. A row that has left the list stays, beside the row that stood before it.
function settle() {
  const place = body();
  if (!place || !order.length) return;
  const inOrder = new Set(order);
  let next = place.firstElementChild;
  let hasNew = false;
  for (const id of order) {
    while (next && !inOrder.has(next.id)) next = next.nextElementSibling;
    let row = document.getElementById(id);
    if (!row) {
      if (!waiting.has(id)) continue;
      row = document.adoptNode(waiting.get(id));
      mark(row);
      hasNew = true;
    }
    if (row === next) next = next.nextElementSibling;
    else {
      const focus = row.contains(document.activeElement) ? document.activeElement : null;
      place.insertBefore(row, next);
      focus?.focus({ preventScroll: true });
    }
    if (waiting.delete(id)) { said.set(id, essence(row)); window.htmx?.process(row); }
  }
  const left = rowsIn(place).filter((row) => !inOrder.has(row.id) && !row.contains(document.activeElement));
  left.slice(0, Math.max(0, rowsIn(place).length - MOST_ROWS)).forEach((row) => row.remove());
  if (hasNew) brought();
}

function mark(row) {
  row.dataset.news = '';
  setTimeout(() => { delete row.dataset.news; }, 4_000);
}

// What looks after ticks, copying and pictures hears of it.
function brought() {
  document.dispatchEvent(new CustomEvent('desk:rows'));
}

// What a person looks at stays where it is on the screen, whatever came above it: what has the focus, else the first
// row that can be seen, else the first thing with a name.
function keepPlace(change) {
  const focused = document.activeElement?.closest('main') && document.activeElement.id !== 'main' ? document.activeElement : null;
  const isSeen = (element) => { const { bottom, top } = element.getBoundingClientRect(); return bottom > 0 && top < window.innerHeight; };
  const anchor = focused?.closest('[data-live-rows] > tr') ?? focused
    ?? rowsIn(body()).find(isSeen) ?? [...document.querySelectorAll('main [id]')].find(isSeen);
  const before = anchor?.getBoundingClientRect().top;
  change();
  const same = anchor?.isConnected ? anchor : document.getElementById(anchor?.id ?? '');
  const after = same?.getBoundingClientRect().top;
  if (window.scrollY > 0 && after !== undefined && after !== before) window.scrollBy(0, after - before);
}

// --- What it says of itself ---

const news = document.querySelector('[data-live-show]');

function tellNews() {
  if (!news) return;
  const many = order.filter((id) => waiting.has(id) && !document.getElementById(id)).length;
  const words = many ? (many === 1 ? t('1 new row: show') : t('{count} new rows: show', { count: many })) : '';
  if (news.textContent !== words) news.textContent = words;
  news.hidden = !many;
}

news?.addEventListener('click', () => { keepPlace(settle); tellNews(); });

function tellAge() {
  if (!line) return;
  const seconds = Math.floor((performance.now() - freshAt) / 1000);
  const isOld = performance.now() - freshAt > OLD_AFTER_MS;
  line.hidden = false;
  line.toggleAttribute('data-old', isOld);
  const age = seconds < 60 ? t('{count} s', { count: seconds }) : t('{count} min', { count: Math.floor(seconds / 60) });
  const fresh = t('Up to date, looked {age} ago', { age });
  const old = hasFailed ? t('Not up to date: the desk has not answered for {age}', { age }) : t('Not up to date: not looked for {age}', { age });
  const words = isOld ? old : fresh;
  const place = line.querySelector('[data-live-age]');
  if (place.textContent !== words) place.textContent = words;
}

if (line) {
  setInterval(ask, EVERY_MS);
  setInterval(() => {
    if (document.hidden) return;
    tellAge();
    if (waiting.size && !isHeld()) { keepPlace(settle); tellNews(); }
  }, 500);
  document.addEventListener('visibilitychange', ask);
  tellAge();
}

// --- What HTMX brings at the same time ---

const startedAt = new WeakMap();
document.addEventListener('htmx:beforeRequest', ({ detail }) => {
  startedAt.set(detail.xhr, performance.now());
  if (detail.target?.id) underWay.add(detail.target.id);
});
// An answer finds its row only if that row still stands where it stood when it was asked for.
for (const event of ['htmx:afterRequest', 'htmx:afterSettle']) document.addEventListener(event, ({ detail }) => underWay.delete(detail.target?.id));
document.addEventListener('htmx:beforeSwap', ({ detail }) => {
  // A row that was only asked for again, before the question whose answer the page shows by now.
  const isRow = detail.target?.matches?.('[data-live-rows] > tr');
  if (isRow && detail.requestConfig.verb === 'get' && (startedAt.get(detail.xhr) ?? 0) < lastShownAskAt) detail.shouldSwap = false;
});
for (const event of ['htmx:afterSwap', 'htmx:afterSettle']) {
  document.addEventListener(event, ({ detail }) => {
    const row = document.getElementById(detail.target?.id)?.closest('[data-live-rows] > tr');
    if (!row) return;
    broughtAt.set(row.id, performance.now());
    said.set(row.id, essence(row));
  });
}
// What a hand did here changes the counts.
document.addEventListener('htmx:afterRequest', ({ detail }) => {
  const isAct = detail.requestConfig?.verb !== 'get' && !detail.elt.matches('[data-presence]');
  if (isAct && detail.successful) ask();
});

// --- Who else is there ---

// Whoever closes a dialog or a page is no longer there; whoever crashes is forgotten by time.
function leave(form) {
  const gone = new FormData(form);
  gone.set('gone', 'on');
  navigator.sendBeacon(form.getAttribute('hx-post'), gone);
}

new MutationObserver((changes) => {
  for (const { removedNodes } of changes) {
    for (const node of removedNodes) {
      if (!(node instanceof Element)) continue;
      [node, ...node.querySelectorAll('form')].filter((form) => form.matches('[data-presence]')).forEach(leave);
    }
  }
}).observe(document.getElementById('dialog-slot'), { childList: true, subtree: true });
window.addEventListener('pagehide', () => document.querySelectorAll('form[data-presence]').forEach(leave));
