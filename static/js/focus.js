// Where the focus goes when what held it is gone: to what a person would look for next in the same row or block.
export function focusWithin(place) {
  const next = place?.querySelector('button:not(:disabled)') ?? place?.querySelector('a[href]');
  (next ?? document.getElementById('main'))?.focus();
}
