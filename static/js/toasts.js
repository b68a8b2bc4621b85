// Short news at the edge of the page. What went wrong stays until it is dismissed.

import { t } from './words.js';

const STAY_MS = 8_000;
const toasts = document.getElementById('toasts');

function settle(toast) {
  if (toast.dataset.settled) return;
  toast.dataset.settled = 'yes';
  const form = toast.querySelector('form');
  if (form) setTimeout(() => withdraw(form, toast), 1_000 * form.dataset.seconds);
  if (toast.dataset.tone === 'error') return;
  // The newest good news is enough: two of them would cover half a phone.
  toasts.querySelectorAll('.toast[data-settled]:not([data-tone="error"])').forEach((older) => { if (older !== toast) older.remove(); });
  const leave = () => { if (!toast.matches(':hover, :focus-within')) toast.remove(); else setTimeout(leave, STAY_MS); };
  setTimeout(leave, STAY_MS);
}

// By now it may have left, and nobody can take it back; a row that still waits offers it itself.
function withdraw(form, toast) {
  if (form.contains(document.activeElement)) toast.querySelector('[data-close-toast]').focus();
  form.remove();
}

function say(text) {
  const toast = document.createElement('div');
  toast.className = 'toast';
  toast.dataset.tone = 'error';
  const words = document.createElement('p');
  words.textContent = text;
  const close = document.createElement('button');
  close.type = 'button';
  close.className = 'linklike';
  close.dataset.closeToast = '';
  close.textContent = t('Dismiss');
  toast.append(words, close);
  toasts.append(toast);
  settle(toast);
}

document.addEventListener('click', (event) => event.target.closest('[data-close-toast]')?.closest('.toast').remove());
document.addEventListener('htmx:afterRequest', ({ detail }) => detail.elt.closest?.('.toast form')?.closest('.toast')?.remove());
document.addEventListener('htmx:responseError', (event) => {
  const { status } = event.detail.xhr;
  if (status === 401) return; // on its way to log-in
  if (status === 403) say(t('Your role may not do this, or the page is too old. Load the page again; nothing was changed.'));
  else if (status === 404) say(t('This is not there any more. Load the page again.'));
  else say(t('The desk answered with a fault ({status}). Load the page again to see what stands.', { status }));
});
document.addEventListener('htmx:sendError', () => say(t('The desk did not answer. Look at your connection; then load the page again to see what stands.')));
new MutationObserver(() => toasts.querySelectorAll('.toast').forEach(settle)).observe(toasts, { childList: true });
toasts.querySelectorAll('.toast').forEach(settle);
