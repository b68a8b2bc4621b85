// Single keys and the palette. A key moves the focus or opens a dialog; none of them sends anything.

import { t } from './words.js';

const ROWS = 'main .table.rows tbody tr';
const palette = document.getElementById('palette');
const help = document.getElementById('keys-help');
const find = document.getElementById('find');
let current = '';

function areOn() {
  try { return localStorage.getItem('keys') !== 'off'; } catch { return true; }
}

function switchKeys(on) {
  try { localStorage.setItem('keys', on ? 'on' : 'off'); } catch { /* for this page only, then */ }
}

function rows() {
  return [...document.querySelectorAll(ROWS)];
}

function row() {
  return document.activeElement?.closest(ROWS) ?? document.getElementById(current)?.closest(ROWS) ?? null;
}

function goTo(target) {
  if (!target) return;
  target.tabIndex = -1;
  current = target.id;
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: 'nearest' });
}

function step(by) {
  const all = rows();
  const at = all.indexOf(row());
  goTo(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)]);
}

function say(text) {
  const voice = document.getElementById('spoken');
  if (voice) voice.textContent = text;
}

function buttonOf(target, names) {
  return [...(target?.querySelectorAll('button') ?? [])].find((each) => names.includes(each.textContent.trim()));
}

// Only what asks for a dialog is pressed; where the desk has another kind of button, the person presses it.
function opensDialog(button) {
  const asks = button.hasAttribute('hx-get') || button.form?.hasAttribute('hx-get');
  return asks && !button.hasAttribute('hx-post') && !button.form?.hasAttribute('hx-post');
}

function open(...names) {
  const target = row() ?? rows()[0];
  const button = buttonOf(target, names);
  if (!button) return;
  goTo(target);
  if (button.disabled) say(target.querySelector('.why')?.textContent.trim() || t('This cannot be done now.'));
  else if (opensDialog(button)) { button.focus(); button.click(); } else button.focus();
}

function tick() {
  const target = row() ?? rows()[0];
  const box = target?.querySelector('input[name="item"][type="checkbox"]');
  if (!box) return;
  goTo(target);
  box.click();
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  x: tick,
  c: () => open(t('Cancel item')),
  a: () => open(t('Cancel when allowed')),
  r: () => open(t('Confirm refund'), t('Approve refund')),
  '/': () => { find?.focus(); find?.select(); },
  '?': () => openHelp(),
};

function isTyping(element) {
  return element?.closest('input:not([type="checkbox"], [type="radio"]), textarea, select, [contenteditable]');
}

document.addEventListener('keydown', (event) => {
  if (event.isComposing || event.defaultPrevented) return;
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !'jk'.includes(event.key)) return;
  if (event.key === 'Enter' && document.activeElement?.matches(ROWS)) {
    document.activeElement.querySelector('a[href]')?.click();
    return;
  }
  const act = KEYS[event.key];
  if (!act || !areOn() || isTyping(event.target) || document.querySelector('dialog[open]')) return;
  event.preventDefault();
  act();
});

// A row that is asked for again is another element: whoever stood on it stands on it still.
document.addEventListener('htmx:afterSettle', () => {
  if (document.activeElement === document.body && current && !document.querySelector('dialog[open]')) {
    goTo(document.getElementById(current));
  }
});

function openHelp() {
  if (!help || help.open) return;
  help.querySelector('input').checked = areOn();
  help.showModal();
}

help?.querySelector('input').addEventListener('change', (event) => switchKeys(event.target.checked));
document.querySelectorAll('[data-open-keys]').forEach((button) => {
  button.hidden = false;
  button.addEventListener('click', openHelp);
});

// --- The palette ---

function commands() {
  const target = row();
  const name = target?.querySelector('.name')?.textContent.trim();
  const found = [];
  for (const label of [t('Cancel item'), t('Cancel when allowed'), t('Confirm refund'), t('Approve refund')]) {
    const button = buttonOf(target, [label]);
    if (button && !button.disabled && opensDialog(button)) found.push([`${label}: ${name ?? t('this row')}`, () => open(label)]);
  }
  document.querySelectorAll('.rail nav a').forEach((link) => found.push([t('Go to {place}', { place: link.querySelector('span').textContent }), () => link.click()]));
  document.querySelectorAll('main .tabs-line a').forEach((link) => found.push([t('Show {what}', { what: link.firstChild.textContent.trim() }), () => link.click()]));
  found.push([t('Light or dark'), () => document.querySelector('[data-theme-toggle]')?.click()]);
  found.push([t('Keyboard shortcuts'), openHelp]);
  return found;
}

function openPalette() {
  if (!palette || document.querySelector('dialog[open]')) return;
  const list = palette.querySelector('ul');
  const input = palette.querySelector('input[name="q"]');
  const known = commands();
  input.value = '';
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fit = known.filter(([label]) => words.every((word) => label.toLowerCase().includes(word)));
    list.replaceChildren(...fit.slice(0, 12).map(([label, act]) => {
      const item = document.createElement('li');
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = label;
      button.addEventListener('click', () => { palette.close(); act(); });
      item.append(button);
      return item;
    }));
  };
  input.oninput = show;
  show();
  const before = document.activeElement;
  palette.showModal();
  input.focus();
  palette.addEventListener('close', () => { if (document.activeElement === document.body) before?.focus(); }, { once: true });
}

palette?.addEventListener('keydown', (event) => {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const stops = [palette.querySelector('input[name="q"]'), ...palette.querySelectorAll('ul button')];
  const at = stops.indexOf(document.activeElement);
  event.preventDefault();
  stops[(at + (event.key === 'ArrowDown' ? 1 : -1) + stops.length) % stops.length].focus();
});
for (const dialog of [palette, help]) {
  dialog?.addEventListener('click', (event) => { if (event.target === dialog || event.target.closest('[data-close]')) dialog.close(); });
}
