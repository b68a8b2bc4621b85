// No hand made a poll, nor what a script set off; the desk must not take it for somebody at work.
document.addEventListener('htmx:configRequest', ({ detail }) => {
  if (!detail.triggeringEvent?.isTrusted) detail.headers['X-Background'] = '1';
});
// Rows look again by themselves only while somebody can see them; what a person or a clock asks for always goes out.
document.addEventListener('htmx:beforeRequest', (event) => {
  const { elt, requestConfig } = event.detail;
  const isPoll = !requestConfig?.triggeringEvent;
  if (isPoll && elt.hasAttribute('data-item-id') && document.hidden) event.preventDefault();
});
