// Times on the page, by the server's clock. The browser's own clock may be wrong by any amount; only its steady
// counter is used. The page displays, the server decides: at zero the row is asked for again.

import { t } from './words.js';

const root = document.documentElement;
const RESYNC_AFTER_MS = 5_000;
const ASK_AGAIN_AFTER_MS = 2_000;
const SPOKEN_SECONDS = [60, 300];

let offset = serverMs(root.dataset.serverNow) - pageAnsweredAt();
let lastTick = performance.now();
let lastWall = Date.now();
let syncing = false;
const askedAt = new Map();
const spokenOf = new Map();
let toSay = [];

function serverMs(iso) {
  return Date.parse(iso);
}

// The server read its clock before the first byte came.
function pageAnsweredAt() {
  const [page] = performance.getEntriesByType('navigation');
  return page?.responseStart || performance.now();
}

function now() {
  return performance.now() + offset;
}

async function resync() {
  if (syncing || !root.dataset.nowUrl) return;
  syncing = true;
  try {
    const sent = performance.now();
    const answer = await fetch(root.dataset.nowUrl, { cache: 'no-store', redirect: 'error' });
    const back = performance.now();
    const told = serverMs(await answer.text());
    if (answer.ok && Number.isFinite(told)) offset = told - (sent + back) / 2;
  } catch {
    // Offline or logged out: the old offset still counts steadily.
  } finally {
    syncing = false;
  }
  tick();
}

function left(seconds) {
  const two = (number) => String(number).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${two(minutes)}:${two(seconds % 60)}`;
}

function relative(ms) {
  const seconds = Math.floor(Math.abs(now() - ms) / 1000);
  if (seconds < 1) return t('now');
  const [unit, length] = [['{count} d', 86400], ['{count} h', 3600], ['{count} min', 60], ['{count} s', 1]].find(([, size]) => seconds >= size);
  const span = t(unit, { count: Math.floor(seconds / length) });
  return ms > now() ? t('in {span}', { span }) : t('{span} ago', { span });
}

function count(time) {
  const seconds = Math.ceil((serverMs(time.dataset.cancellableFrom) - now()) / 1000);
  if (seconds > 0) {
    write(time, t('in {span}', { span: left(seconds) }));
    announce(time, seconds);
    return;
  }
  write(time, t('now'));
  const row = time.closest('[data-item-id]');
  if (!row || performance.now() - (askedAt.get(row.id) ?? -ASK_AGAIN_AFTER_MS) < ASK_AGAIN_AFTER_MS) return;
  if (!askedAt.has(row.id)) speak(t('{name} can be cancelled now', { name: time.dataset.name }));
  askedAt.set(row.id, performance.now());
  window.htmx?.trigger(row, 'desk:refresh');
}

// Once when a mark is passed, not at one exact second, which a page in the background may miss.
function announce(time, seconds) {
  const key = time.closest('[data-item-id]')?.id ?? time.dataset.name;
  const mark = SPOKEN_SECONDS.find((each) => seconds <= each) ?? Infinity;
  const before = spokenOf.get(key);
  spokenOf.set(key, mark);
  if (before !== undefined && mark < before) speak(t('{name}: {count} min until it can be cancelled', { name: time.dataset.name, count: mark / 60 }));
}

// Whatever falls together is said together.
function speak(text) {
  if (!toSay.length) {
    setTimeout(() => {
      const voice = document.getElementById('spoken');
      if (voice) voice.textContent = toSay.slice(0, 3).join('. ') + (toSay.length > 3 ? `, ${t('and {count} more', { count: toSay.length - 3 })}` : '');
      toSay = [];
    });
  }
  toSay.push(text);
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  document.querySelectorAll('time[data-cancellable-from]').forEach(count);
  document.querySelectorAll('time[data-relative]').forEach((time) => write(time, relative(Date.parse(time.dateTime))));
}

setInterval(() => {
  const steady = performance.now() - lastTick;
  const wall = Date.now() - lastWall;
  lastTick = performance.now();
  lastWall = Date.now();
  // A machine that slept has a gap between ticks, or a wall clock that ran ahead of the steady one.
  if (steady > RESYNC_AFTER_MS || Math.abs(wall - steady) > RESYNC_AFTER_MS) resync();
  else tick();
}, 500);
window.addEventListener('focus', resync);
window.addEventListener('pageshow', (event) => { if (event.persisted) resync(); });
document.addEventListener('visibilitychange', () => { if (!document.hidden) resync(); });
document.addEventListener('htmx:afterSwap', tick);
tick();
