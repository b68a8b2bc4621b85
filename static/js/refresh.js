// Rows look again by themselves only while somebody can see them, and never under an open dialog.
document.addEventListener('htmx:beforeRequest', (event) => {
  const { elt, requestConfig } = event.detail;
  const isPoll = requestConfig?.triggeringEvent === undefined || requestConfig?.triggeringEvent === null;
  if (isPoll && elt.hasAttribute('data-item-id') && document.hidden) event.preventDefault();
});
