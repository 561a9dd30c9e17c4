// The home page's chart: cost or calls by day, stacked by provider.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";

  const canvas = document.getElementById("aip-chart");
  if (!canvas) return;
  const { days, lines } = JSON.parse(document.getElementById("aip-chart-data").textContent);
  const colours = ["#2563eb", "#0d9488", "#d97706", "#9333ea", "#dc2626", "#65a30d", "#0891b2", "#db2777", "#6b7280"];
  const unfolded = getComputedStyle(document.documentElement);
  const dark = () => document.documentElement.classList.contains("dark");
  const ink = () => unfolded.getPropertyValue(dark() ? "--color-base-400" : "--color-base-500").trim() || "#6b7280";
  const grid = () => unfolded.getPropertyValue(dark() ? "--color-base-800" : "--color-base-200").trim() || "#e5e7eb";

  const dollars = (value) => {
    if (value === 0) return "$0";
    const digits = Math.abs(value) >= 1 ? { minimumFractionDigits: 2, maximumFractionDigits: 2 } : { maximumSignificantDigits: 3 };
    return `$${value.toLocaleString("en-US", digits)}`;
  };
  /** All ticks of an axis get the decimals that its finest step needs. */
  const tick = (value, _index, ticks) => {
    const step = ticks.length > 1 ? Math.abs(ticks[1].value - ticks[0].value) : 1;
    const decimals = step >= 1 ? 0 : Math.max(2, Math.ceil(-Math.log10(step)));
    return `$${value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals })}`;
  };
  const number = (value) => value.toLocaleString("en-US");

  let series = lines.some((line) => line.cost.some((value) => value > 0)) ? "cost" : "calls";
  const written = (value) => (series === "cost" ? dollars(value) : number(value));

  /** Of those alone that have something to show; each keeps its colour in both views. */
  const datasets = () => lines.map((line, index) => ({
    label: line.name,
    data: line[series],
    backgroundColor: colours[Math.min(index, colours.length - 1)],
    borderRadius: 2,
    maxBarThickness: 28,
  })).filter((set) => set.data.some((value) => value !== 0));

  Chart.defaults.font.family = "Inter, sans-serif";
  const chart = new Chart(canvas, {
    type: "bar",
    data: { labels: days, datasets: datasets() },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { position: "bottom", align: "start", labels: { color: ink(), usePointStyle: true, boxHeight: 7, padding: 16 } },
        tooltip: {
          itemSort: (a, b) => b.raw - a.raw,
          filter: (item) => item.raw !== 0,
          callbacks: {
            label: (item) => ` ${item.dataset.label}: ${written(item.raw)}`,
            footer: (items) => (items.length > 1 ? `Together: ${written(items.reduce((sum, item) => sum + item.raw, 0))}` : ""),
          },
        },
      },
      scales: {
        x: { stacked: true, grid: { display: false }, border: { color: grid() }, ticks: { color: ink(), maxRotation: 0, autoSkipPadding: 16 } },
        y: {
          stacked: true,
          beginAtZero: true,
          grid: { color: grid() },
          border: { display: false },
          ticks: { color: ink(), maxTicksLimit: 6, precision: series === "calls" ? 0 : undefined, callback: (...tickOf) => (series === "cost" ? tick(...tickOf) : number(tickOf[0])) },
        },
      },
    },
  });

  const buttons = document.querySelectorAll("[data-series]");
  const draw = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.series === series));
    chart.data.datasets = datasets();
    chart.options.scales.x.ticks.color = chart.options.scales.y.ticks.color = chart.options.plugins.legend.labels.color = ink();
    chart.options.scales.y.grid.color = chart.options.scales.x.border.color = grid();
    chart.update();
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      series = button.dataset.series;
      draw();
    });
  }
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  draw();
});
