// Full times in the zone of the browser, for whoever has chosen none. Without scripts they are in UTC.

const here = document.documentElement;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const language = here.lang === 'en' ? 'en-GB' : here.lang;

function written(iso) {
  const parts = new Intl.DateTimeFormat(language, {
    day: '2-digit', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', timeZoneName: 'short',
  }).formatToParts(new Date(iso));
  const of = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  return `${of.day} ${of.month} ${of.year} ${of.hour}:${of.minute}:${of.second} ${of.timeZoneName}`;
}

function show() {
  // A time that the page shows in a zone of its own, as the audit log does, is marked, and stays.
  document.querySelectorAll('time[datetime]:not([data-zoned])').forEach((time) => {
    time.dataset.zoned = '';
    if (time.title) time.title = written(time.dateTime);
    if (!('relative' in time.dataset) && !('cancellableFrom' in time.dataset)) time.textContent = written(time.dateTime);
  });
}

if (!here.dataset.zone && zone && !['UTC', 'Etc/UTC', 'GMT'].includes(zone)) {
  show();
  for (const event of ['htmx:afterSwap', 'desk:rows']) document.addEventListener(event, show);
}
