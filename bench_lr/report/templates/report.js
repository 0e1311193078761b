"use strict";
// What a reader can do with a page of the report beside reading it. Nothing here is needed to read.

const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// --- light and dark ------------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];
const KEY = "bench-lr theme";

function kept(value) {
  // Pages from a disk may have no storage.
  try {
    if (value === undefined) return localStorage.getItem(KEY);
    localStorage.setItem(KEY, value);
  } catch { /* then it is forgotten */ }
  return value;
}

function setTheme(theme) {
  root.dataset.theme = theme;
  const button = document.getElementById("theme");
  if (button) button.textContent = `Colours: ${theme}`;
}

function followTheme() {
  const button = document.getElementById("theme");
  setTheme(THEMES.includes(kept()) ? kept() : "auto");
  button?.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    setTheme(kept(next));
  });
}

// --- the scoreboard: filter and sort ---------------------------------------------------------------

function filterClaims() {
  const text = document.getElementById("find");
  if (!text) return;
  const source = document.getElementById("source");
  const verdicts = all("input[id^='show-']");
  const rows = all("#scoreboard tr[data-claim]");
  const told = document.getElementById("shown");
  const words = new Map(rows.map((row) => {
    const article = document.getElementById(row.dataset.claim);
    return [row, `${row.textContent} ${article?.querySelector(".words")?.textContent ?? ""}`.toLowerCase()];
  }));

  function apply() {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = new Set(verdicts.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const row of rows) {
      const fits = (!source.value || row.dataset.source === source.value)
        && chosen.has(row.dataset.verdict)
        && wanted.every((word) => words.get(row).includes(word));
      row.hidden = !fits;
      const article = document.getElementById(row.dataset.claim);
      if (article) article.hidden = !fits;
      count += fits;
    }
    // A source of which nothing is shown has no heading.
    for (const group of all("[data-group]")) {
      group.hidden = !rows.some((row) => row.dataset.source === group.dataset.group && !row.hidden);
    }
    told.textContent = `${count} of ${rows.length} claims shown`;
    document.getElementById("nothing").hidden = count > 0;
  }

  for (const control of [text, source, ...verdicts]) control.addEventListener("input", apply);
  document.getElementById("controls").addEventListener("reset", () => setTimeout(apply));
  // A link to a claim that the filter hides shows it.
  addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.hidden) {
      document.getElementById("controls").reset();
      setTimeout(() => target.scrollIntoView());
    }
  });
  apply();
}

function sortClaims() {
  const table = document.getElementById("scoreboard");
  if (!table) return;
  const bodies = all("tbody", table);
  const home = new Map(all("tr[data-claim]", table).map((row, place) => [row, [row.parentNode, place]]));
  const rows = [...home.keys()];
  const heads = all("th[data-key]", table);

  function value(row, key) {
    const text = row.dataset[key];
    return text === undefined || text === "" ? null : Number(text);
  }

  function sort(head) {
    const before = head.getAttribute("aria-sort");
    const next = { none: "descending", descending: "ascending", ascending: "none" }[before ?? "none"];
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    table.classList.toggle("sorted", next !== "none");
    if (next === "none") {
      for (const row of [...rows].sort((a, b) => home.get(a)[1] - home.get(b)[1])) home.get(row)[0].append(row);
      return;
    }
    const sign = next === "descending" ? -1 : 1;
    const key = head.dataset.key;
    const ordered = [...rows].sort((a, b) => {
      const [x, y] = [value(a, key), value(b, key)];
      // What has no number comes last, whichever way.
      if (x === null || y === null) return (x === null) - (y === null) || home.get(a)[1] - home.get(b)[1];
      return sign * (x - y) || home.get(a)[1] - home.get(b)[1];
    });
    bodies[0].append(...ordered);
  }

  for (const head of heads) {
    head.setAttribute("aria-sort", "none");
    head.querySelector("button").addEventListener("click", () => sort(head));
  }
}

// --- figures: read a point, enlarge -----------------------------------------------------------------

const NEAR = 28;
const vectors = new Map();

async function vector(figure) {
  // Figures come as compressed SVG beside the picture that is shown; opened when first wanted.
  const name = figure.dataset.vector;
  if (!vectors.has(name)) {
    vectors.set(name, (async () => {
      const text = document.getElementById(name)?.textContent.trim();
      if (!text || !("DecompressionStream" in window)) return null;
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      const svg = await new Response(stream).text();
      const found = new DOMParser().parseFromString(svg, "image/svg+xml").getElementById("bench-lr-points");
      return { svg, panels: found ? JSON.parse(found.textContent) : [] };
    })());
  }
  return vectors.get(name);
}

function nearest(panels, image, x, y) {
  const box = image.getBoundingClientRect();
  let best = null;
  let least = NEAR * NEAR;
  for (const panel of panels) {
    for (const series of panel.series) {
      for (const [across, down, ...told] of series.points) {
        const at = [box.left + (box.width * across) / 1e4, box.top + (box.height * down) / 1e4];
        const far = (at[0] - x) ** 2 + (at[1] - y) ** 2;
        if (far < least) {
          least = far;
          best = { panel, series, told, at };
        }
      }
    }
  }
  return best;
}

const written = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

function number(value) {
  const size = Math.abs(value);
  return value !== 0 && (size < 1e-4 || size >= 1e7) ? value.toExponential(2) : written.format(value);
}

function readFigures() {
  const tip = document.getElementById("tip");
  const ring = document.getElementById("ring");
  if (!tip) return;
  const hide = () => { tip.hidden = ring.hidden = true; };

  async function show(figure, event) {
    const found = await vector(figure);
    const image = figure.querySelector("img");
    const point = found && nearest(found.panels, image, event.clientX, event.clientY);
    if (!point) return hide();
    const { panel, series, told, at } = point;
    tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: series.name || "value" }));
    const lines = [[panel.x, told[0]], ...(series.row ? [] : [[panel.y || "value", told[1]]])];
    for (const [label, value] of lines) {
      tip.append(document.createElement("br"), `${label ? `${label.replace(/\s+/g, " ")}: ` : ""}${number(value)}`);
    }
    tip.style.borderColor = ring.style.borderColor = series.colour;
    tip.hidden = ring.hidden = false;
    ring.style.left = `${at[0] + scrollX}px`;
    ring.style.top = `${at[1] + scrollY}px`;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(at[0] + 14, room)) + scrollX}px`;
    const above = at[1] - tip.offsetHeight - 12;
    tip.style.top = `${(above > 4 ? above : at[1] + 16) + scrollY}px`;
    return undefined;
  }

  for (const figure of all("figure[data-vector]")) {
    const image = figure.querySelector("img");
    image.addEventListener("pointermove", (event) => show(figure, event));
    image.addEventListener("pointerleave", hide);
  }
  addEventListener("scroll", hide, { passive: true });
}

function enlargeFigures() {
  const dialog = document.getElementById("zoom");
  if (!dialog?.showModal) return;
  const place = dialog.querySelector(".pane");
  const image = dialog.querySelector("img");
  let scale = 1;
  let shown = null;

  function enlarge(next) {
    const middle = [
      (place.scrollLeft + place.clientWidth / 2) / place.scrollWidth,
      (place.scrollTop + place.clientHeight / 2) / place.scrollHeight,
    ];
    scale = Math.min(8, Math.max(1, next));
    image.style.width = `${100 * scale}%`;
    place.scrollLeft = middle[0] * place.scrollWidth - place.clientWidth / 2;
    place.scrollTop = middle[1] * place.scrollHeight - place.clientHeight / 2;
    dialog.querySelector("output").textContent = `${Math.round(100 * scale)} %`;
  }

  async function open(figure) {
    const small = figure.querySelector("img");
    const found = await vector(figure);
    if (shown) URL.revokeObjectURL(shown);
    shown = found && URL.createObjectURL(new Blob([found.svg], { type: "image/svg+xml" }));
    image.src = shown ?? small.src;
    image.alt = small.alt;
    dialog.showModal();
    enlarge(1);
  }

  for (const figure of all("figure[data-vector]")) {
    figure.querySelector("button").addEventListener("click", () => open(figure));
  }
  const steps = { in: () => scale * 1.5, out: () => scale / 1.5, fit: () => 1 };
  for (const button of all("[data-zoom]", dialog)) {
    button.addEventListener("click", () => enlarge(steps[button.dataset.zoom]()));
  }
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    const step = { "+": steps.in, "=": steps.in, "-": steps.out, 0: steps.fit }[event.key];
    if (step) enlarge(step());
  });
  place.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    enlarge(scale * (event.deltaY < 0 ? 1.2 : 1 / 1.2));
  }, { passive: false });
}

// --- small things -----------------------------------------------------------------------------------

function copyCommands() {
  for (const button of all("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

function printWhole() {
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const part of all("details:not([open])")) {
      part.open = true;
      closed.push(part);
    }
  });
  addEventListener("afterprint", () => closed.splice(0).forEach((part) => { part.open = false; }));
}

root.classList.add("live");
followTheme();
filterClaims();
sortClaims();
readFigures();
enlargeFigures();
copyCommands();
printWhole();
