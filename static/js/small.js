// Copying an id, a letter in place of a picture that does not come, how close together the rows stand, and where one is.

import { t } from './words.js';

document.querySelectorAll('[data-copy]').forEach(show);
for (const event of ['htmx:afterSwap', 'desk:rows']) document.addEventListener(event, () => document.querySelectorAll('[data-copy][hidden]').forEach(show));

function show(button) {
  if (navigator.clipboard) button.hidden = false;
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const voice = document.getElementById('spoken');
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.dataset.copied = '';
    if (voice) voice.textContent = t('Copied');
    setTimeout(() => delete button.dataset.copied, 2_000);
  } catch {
    if (voice) voice.textContent = t('This browser does not let the page copy. Mark the text instead.');
  }
});

function standIn(picture) {
  const letter = document.createElement('span');
  letter.className = 'no-picture';
  letter.setAttribute('aria-hidden', 'true');
  letter.textContent = [...(picture.closest('td')?.querySelector('.name')?.textContent.trim() ?? '')][0] ?? '';
  picture.replaceWith(letter);
}

document.addEventListener('error', (event) => {
  if (event.target.matches?.('.thing img')) standIn(event.target);
}, true);
document.querySelectorAll('.thing img').forEach((picture) => {
  if (picture.complete && picture.naturalWidth === 0) standIn(picture);
});

document.querySelectorAll('button[data-density]').forEach((button) => {
  const root = document.documentElement;
  const tell = () => button.setAttribute('aria-pressed', String(root.dataset.density === 'compact'));
  button.hidden = false;
  tell();
  button.addEventListener('click', () => {
    const density = root.dataset.density === 'compact' ? 'roomy' : 'compact';
    root.dataset.density = density;
    try { localStorage.setItem('density', density); } catch { /* for this page only, then */ }
    tell();
  });
});

// On a narrow screen the rail and the tabs go on beyond its edge: the entry of this page is brought into sight.
document.querySelectorAll('.rail nav [aria-current], .tabs-line [aria-current]').forEach((entry) => {
  const line = entry.closest('ul, .tabs-line');
  line.scrollLeft = entry.offsetLeft - (line.clientWidth - entry.offsetWidth) / 2;
});
