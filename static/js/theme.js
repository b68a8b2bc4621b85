// Runs before the page is painted: the remembered choice, else what the system prefers.
(() => {
  const preferred = window.matchMedia('(prefers-color-scheme: dark)');
  const remembered = () => {
    try { return localStorage.getItem('theme'); } catch { return null; }
  };
  const paint = () => {
    const dark = (remembered() ?? (preferred.matches ? 'dark' : 'light')) === 'dark';
    document.documentElement.classList.toggle('dark', dark);
  };
  paint();
  try { document.documentElement.dataset.density = localStorage.getItem('density') ?? 'roomy'; } catch { /* roomy, then */ }
  preferred.addEventListener('change', paint);
  document.addEventListener('click', (event) => {
    if (!event.target.closest('[data-theme-toggle]')) return;
    const dark = document.documentElement.classList.contains('dark');
    try { localStorage.setItem('theme', dark ? 'light' : 'dark'); } catch { /* not remembered, then */ }
    document.documentElement.classList.toggle('dark', !dark);
  });
})();
