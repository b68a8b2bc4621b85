// What scripts say, in the language of the page: it brings along what is not English.

const words = JSON.parse(document.documentElement.dataset.words || '{}');

// `withdrawals/views/script_words.py` names every text that is asked for here.
export function t(text, given = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => given[name] ?? whole);
}
