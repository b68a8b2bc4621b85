// One small question for all rows of a page: which of them changed, and who else has them open. A row that changed is
// asked for again by itself. Nothing is asked while nobody can see the page.
const EVERY_MS = 4_000;
const { liveUrl } = document.documentElement.dataset;
const rows = () => [...document.querySelectorAll('[data-live-item]')];
let asking = false;

async function ask() {
  const ids = new Set(rows().map((row) => row.dataset.liveItem));
  if (asking || document.hidden || !ids.size) return;
  asking = true;
  try {
    // As HTMX asks, so that a session that ended leads the whole page to log-in.
    const headers = { 'HX-Request': 'true', 'HX-Current-URL': location.href };
    const answer = await fetch(`${liveUrl}?ids=${[...ids].join(',')}`, { headers, cache: 'no-store', redirect: 'error' });
    const login = answer.headers.get('HX-Redirect');
    if (login) location.assign(login);
    else if (answer.ok) show(await answer.json());
  } catch {
    // Offline: asked again in a moment.
  } finally {
    asking = false;
  }
}

function show(told) {
  for (const row of rows()) {
    const news = told[row.dataset.liveItem];
    if (!news) continue;
    const words = row.querySelector('.here bdi');
    if (words && words.textContent !== news.here) words.textContent = news.here;
    const isOld = row.dataset.version && row.dataset.version !== news.version;
    if (isOld && !row.classList.contains('htmx-request')) window.htmx?.trigger(row, 'desk:refresh');
  }
}

// Whoever closes a dialog or a page is no longer there; whoever crashes is forgotten by time.
function leave(form) {
  const body = new FormData(form);
  body.set('gone', 'on');
  navigator.sendBeacon(form.getAttribute('hx-post'), body);
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
document.addEventListener('visibilitychange', ask);
setInterval(ask, EVERY_MS);
ask();
