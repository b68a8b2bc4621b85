// Parts of a page look again by themselves only while somebody can see them; what a person or a clock asks for always
// goes out. The focus stays with a row whose focused button goes away.
import { focusWithin } from './focus.js';

// No hand made a poll, nor what a script set off; the desk must not take it for somebody at work.
document.addEventListener('htmx:configRequest', ({ detail }) => {
  if (!detail.triggeringEvent?.isTrusted) detail.headers['X-Background'] = '1';
});
document.addEventListener('htmx:beforeRequest', (event) => {
  const { elt, requestConfig } = event.detail;
  const isPoll = !requestConfig?.triggeringEvent;
  if (isPoll && elt.hasAttribute('data-poll') && document.hidden) event.preventDefault();
});

let held = '';
document.addEventListener('htmx:beforeSwap', ({ detail }) => {
  held = detail.target?.id && detail.target.contains(document.activeElement) ? detail.target.id : '';
});
document.addEventListener('htmx:afterSettle', () => {
  const isLost = !document.activeElement || document.activeElement === document.body;
  if (held && isLost) focusWithin(document.getElementById(held));
  held = '';
});
