// A dialog that HTMX brought is shown as a modal one; when it goes, the focus returns to where the person was.

import { focusWithin } from './focus.js';

const slot = document.getElementById('dialog-slot');
let opener = null;

function open(dialog) {
  if (!dialog.open) {
    opener = document.activeElement;
    dialog.showModal();
  } else if (!dialog.matches(':modal')) {
    // Rendered open for browsers without JavaScript. close() would tell of its closing later, and take it away.
    dialog.removeAttribute('open');
    dialog.showModal();
  }
  // What is to be filled in, and not a link that stands above it; what has to be read first stays in sight.
  const first = dialog.querySelector('[autofocus], [aria-invalid="true"]') ?? dialog.querySelector('select, textarea, input:not([type="hidden"])');
  first?.focus({ preventScroll: !first.matches('[aria-invalid="true"]') });
  dialog.addEventListener('close', () => { if (dialog.isConnected) dialog.remove(); giveFocusBack(); }, { once: true });
}

function giveFocusBack() {
  if (slot.querySelector('dialog')) return;
  const row = document.getElementById(opener?.closest?.('tr')?.id ?? '');
  const target = (opener?.id && document.getElementById(opener.id)) || (opener?.isConnected ? opener : null);
  if (target && !target.disabled) target.focus();
  else focusWithin(row);
}

document.addEventListener('htmx:afterSwap', (event) => {
  if (event.target !== slot && event.detail.target !== slot) return;
  const dialog = slot.querySelector('dialog');
  if (dialog) open(dialog);
});
// The answer to a form empties the slot; the row that it brought is in place by then.
document.addEventListener('htmx:oobAfterSwap', (event) => {
  if (event.detail.target === slot && !slot.querySelector('dialog')) setTimeout(giveFocusBack);
});
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-close-dialog]');
  if (!button) return;
  if (button.dataset.closeDialog) location.assign(button.dataset.closeDialog);
  else button.closest('dialog').close();
});
const rendered = slot.querySelector('dialog[open]');
if (rendered) open(rendered);
// A form of the whole page is sent once; when the page is taken from the browser's memory, it can be used again.
document.addEventListener('submit', ({ target }) => {
  if (target.matches('form[data-once]')) setTimeout(() => target.querySelectorAll('button:not([type=button])').forEach((button) => { button.disabled = true; }));
});
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) document.querySelectorAll('form[data-once] button:disabled').forEach((button) => { button.disabled = false; });
});
