// Figures come in light tones; in dark mode each tone is swapped for its dark one before drawing.
const dark = matchMedia("(prefers-color-scheme: dark)");
function draw() {
  for (const source of document.querySelectorAll("script[data-for]")) {
    let text = source.textContent;
    if (dark.matches) text = text.replace(/#[0-9a-f]{6}\b/g, tone => DARK_TONES[tone] || tone);
    const figure = JSON.parse(text);
    const zoom = figure.data.some(trace => trace.type === "parcoords") ? [] : ["zoom2d", "pan2d", "resetScale2d"];
    Plotly.react(source.dataset.for, figure.data, figure.layout,
      { responsive: true, displaylogo: false, displayModeBar: innerWidth > 760, modeBarButtons: [["toImage", ...zoom]] });
  }
}
draw();
dark.addEventListener("change", draw);

// A click on a heading sorts the table by that column; dashes (no value) always come last.
const keyOf = row_cell => { const text = row_cell.dataset.key ?? row_cell.textContent.trim(); return text === "–" || text === "" ? null : isNaN(text) ? text : Number(text); };
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = [...body.rows].map(row => [keyOf(row.cells[column]), row]);
    keyed.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : (down ? -1 : 1) * compare(a, b));
    body.append(...keyed.map(([, row]) => row));
  }));
}

// The filter keeps the rows that contain all of its words.
for (const input of document.querySelectorAll("input.filter")) {
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.getElementById(input.dataset.table).tBodies[0].rows) {
      const text = [...row.cells].map(cell => cell.textContent.trim()).join(" ").toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
  });
}

// What is wider than the page fades at its right edge until it is scrolled to its end.
for (const box of document.querySelectorAll(".scroll, .tall")) {
  const mark = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 8);
  box.addEventListener("scroll", mark, { passive: true });
  const sizes = new ResizeObserver(mark);
  sizes.observe(box);
  if (box.firstElementChild) sizes.observe(box.firstElementChild);
}
