// Which rows are ticked, by id, so that a row that is brought anew keeps its tick.
const form = () => document.getElementById('bulk');
const chosen = new Set();
const boxes = () => [...document.querySelectorAll('input[name="item"][form="bulk"]')];

function note(box) {
  if (box.checked) chosen.add(box.value);
  else chosen.delete(box.value);
}

function show() {
  const bar = form();
  if (!bar) return;
  bar.querySelectorAll('[hidden]').forEach((part) => { part.hidden = false; });
  const all = bar.querySelector('[data-select-page]');
  const shown = boxes();
  all.checked = shown.length > 0 && shown.every((box) => box.checked);
  all.indeterminate = !all.checked && chosen.size > 0;
  bar.dataset.chosen = chosen.size;
  bar.querySelector('[data-chosen-count]').textContent = chosen.size ? `${chosen.size} selected` : 'Nothing selected';
  bar.querySelector('[data-needs-choice]').disabled = !chosen.size;
}

function putBack() {
  boxes().forEach((box) => { box.checked = chosen.has(box.value); });
  show();
}

boxes().forEach(note);
document.addEventListener('change', ({ target }) => {
  if (target.matches('[data-select-page]')) boxes().forEach((box) => { box.checked = target.checked; note(box); });
  else if (target.matches('input[name="item"][form="bulk"]')) note(target);
  else return;
  show();
});
document.addEventListener('htmx:afterSwap', putBack);
document.addEventListener('desk:rows', putBack);
// A browser that comes back to the page puts the ticks back after the scripts have run.
window.addEventListener('pageshow', () => { chosen.clear(); boxes().forEach(note); show(); });
show();
