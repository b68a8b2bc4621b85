// Draws each chart from the table behind it, so that the two cannot differ. Without this the tables stand open.

const root = document.documentElement;
let drawn = [];

function colour(name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

function draw(figure) {
  const table = figure.querySelector('table');
  const canvas = figure.querySelector('canvas');
  if (!table || !canvas || !window.Chart) return null;
  const rows = [...table.tBodies[0].rows];
  const cells = rows.map((row) => row.cells[1]);
  const tones = cells.map((cell) => colour(cell.dataset.tone === 'quiet' ? '--quiet' : `--${cell.dataset.tone}`));
  const [grid, text] = [colour('--line'), colour('--quiet')];
  const isOpen = canvas.parentElement.hidden;
  canvas.parentElement.hidden = false;
  if (isOpen) figure.querySelector('details').open = false;
  return new window.Chart(canvas, {
    type: 'bar',
    data: {
      labels: rows.map((row) => row.cells[0].textContent),
      datasets: [{ data: cells.map((cell) => Number(cell.dataset.height)), backgroundColor: tones, hoverBackgroundColor: tones, borderRadius: 3, maxBarThickness: 36, minBarLength: 1 }],
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { label: (point) => cells[point.dataIndex].textContent } },
      },
      scales: {
        x: { grid: { display: false }, border: { color: grid }, ticks: { color: text, maxRotation: 40, autoSkipPadding: 6 } },
        y: { beginAtZero: true, grid: { color: grid }, border: { display: false }, ticks: { color: text, precision: 0 } },
      },
    },
  });
}

function drawAll() {
  drawn.forEach((chart) => chart.destroy());
  drawn = [...document.querySelectorAll('[data-chart]')].map(draw).filter(Boolean);
}

drawAll();
// Another theme has other colours.
new MutationObserver(drawAll).observe(root, { attributes: true, attributeFilter: ['class'] });
