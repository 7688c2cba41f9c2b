"use strict";
(() => {
  // Colours are CSS variables: the theme and the printer change them without a plot being drawn again.
  const ink = "var(--ink)", muted = "var(--muted)", line = "var(--line)";
  const config = {
    font: getComputedStyle(document.body).fontFamily, // measured on a canvas, which knows no inheritance
    view: { stroke: null },
    axis: {
      labelColor: muted, titleColor: ink, titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12.5,
      gridColor: line, domainColor: muted, tickColor: muted, titlePadding: 8,
    },
    axisY: { domain: false, ticks: false },
    axisYQuantitative: { tickCount: 5 },
    axisXQuantitative: { tickCount: 5 },
    rule: { color: muted },
  };
  const specs = JSON.parse(document.getElementById("specs").textContent);
  // A plot is one image whose content is told in words below it: what Vega says of every mark would be read out a hundred times.
  const silent = (plot) => {
    for (const part of plot.querySelectorAll("[role], [aria-label], [aria-roledescription]"))
      for (const name of ["role", "aria-label", "aria-roledescription"]) part.removeAttribute(name);
    for (const svg of plot.querySelectorAll("svg")) svg.setAttribute("aria-hidden", "true");
  };
  const draw = (id) =>
    vegaEmbed(document.getElementById(id), { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...specs[id] }, {
      renderer: "svg", actions: false, config, tooltip: { theme: "custom", disableDefaultStyle: true },
    }).then(() => silent(document.getElementById(id))).catch((error) => console.error(id, error));
  const plots = Object.keys(specs).reduce((before, id) => before.then(() => draw(id)), Promise.resolve());
  plots.then(() => document.documentElement.setAttribute("data-drawn", "yes"));

  const told = document.getElementById("told");
  const order = new Intl.Collator("en", { numeric: true }).compare;
  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    return numeric ? (cell.dataset.v === undefined ? null : Number(cell.dataset.v)) : cell.textContent;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const numeric = head.classList.contains("n");
        const now = head.getAttribute("aria-sort");
        // Scores are read from the best one down, names from A.
        const next = now === "none" ? (numeric ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const rows = [...table.tBodies[0].rows].map((row) => [value(row, column, numeric), row]);
        rows.sort(([a], [b]) => {
          if (a === null || a === "") return b === null || b === "" ? 0 : 1; // what is missing stays at the end
          if (b === null || b === "") return -1;
          return sign * (numeric ? a - b : order(a, b));
        });
        table.tBodies[0].append(...rows.map(([, row]) => row));
        told.textContent = `Sorted by ${head.textContent.trim()}, ${next}.`;
      });
    });
  }

  for (const input of document.querySelectorAll(".filter input")) {
    input.closest(".filter").hidden = false;
    const rows = [...document.getElementById(input.dataset.table).closest("table").tBodies[0].rows];
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const shown = rows.filter((row) => {
        const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
        return !(row.hidden = !words.every((word) => text.includes(word)));
      });
      told.textContent = `${shown.length} of ${rows.length} lines.`;
    });
  }

  const button = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  button.hidden = false;
  button.addEventListener("click", () => {
    const now = themes[(themes.indexOf(document.documentElement.dataset.theme || "system") + 1) % 3];
    document.documentElement.dataset.theme = now;
    button.querySelector("span").textContent = now;
  });

  // What is folded away on the screen is part of the page on paper, but for the long lists of runs.
  const folded = document.querySelectorAll("figure details:not(.rests)");
  addEventListener("beforeprint", () => folded.forEach((one) => { one.dataset.was = one.open; one.open = true; }));
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = one.dataset.was === "true"; }));
})();
