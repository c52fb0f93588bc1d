/* The SQL page: run by key, cancel, elapsed time, column helper, result tabs, chart. htmx sends the form. */
import { draw, options } from "./charts.js";
import { formToken, tell } from "./shell.js";

const form = document.getElementById("editor");
const sql = document.getElementById("sql");
const cancel = document.getElementById("cancel");
const elapsed = document.getElementById("elapsed");
const KEPT = "brain.sql";
let started = 0;
let ticking = 0;

const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
const address = () => `/sql?q=${encodeURIComponent(sql.value.trim())}`;

sql.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    event.preventDefault();
    form.requestSubmit(document.getElementById("run"));
  }
});

/* The SQL outlives a reload and a sign-in: it is in the address once run, and kept while it is written. */
if (!new URLSearchParams(location.search).has("q")) sql.value = sessionStorage.getItem(KEPT) ?? sql.value;
sql.addEventListener("input", () => sessionStorage.setItem(KEPT, sql.value));

document.addEventListener("htmx:before:request", (event) => {
  if (event.target !== form) return;
  started = performance.now();
  history.replaceState(null, "", address());
  cancel.hidden = false;
  clearInterval(ticking);
  ticking = setInterval(() => { elapsed.textContent = `${elapsed.dataset.running} ${seconds()}`; }, 200);
});

document.addEventListener("htmx:finally:request", (event) => {
  if (event.target !== form) return;
  clearInterval(ticking);
  cancel.hidden = true;
  elapsed.textContent = `${elapsed.dataset.done} ${seconds()}`;
  arrange();
  htmx.ajax("GET", "/sql/history", { target: "#history", swap: "innerHTML" });
});

/* htmx reads the form when the event starts, so the id of the query is set before. */
form.addEventListener("submit", (event) => {
  if (event.submitter?.hasAttribute("data-export")) { event.stopImmediatePropagation(); return; }
  form.elements.id.value = `qry_${crypto.randomUUID().replaceAll("-", "")}`;
}, true);

cancel.addEventListener("click", async () => {
  const body = new URLSearchParams({ id: form.elements.id.value, form_token: formToken });
  await fetch("/sql/cancel", { method: "POST", body });
  tell(elapsed.dataset.cancelled);
});

document.addEventListener("click", (event) => {
  const insert = event.target.closest("[data-insert]");
  if (insert) {
    sql.setRangeText(insert.dataset.insert, sql.selectionStart, sql.selectionEnd, "end");
    sql.focus();
  }
  const tab = event.target.closest("[role=tab]");
  if (tab) choose(tab);
});

document.addEventListener("keydown", (event) => {
  if (event.target.role === "tab" && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    const tabs = [...document.querySelectorAll("#result [role=tab]")];
    choose(tabs[(tabs.indexOf(event.target) + 1) % tabs.length]);
  }
});

document.getElementById("share").addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.origin + address()).then(() => tell(document.getElementById("say").dataset.copied), () => {});
});

function choose(tab) {
  for (const other of tab.parentElement.children) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  tab.focus();
  if (tab.id === "tab-chart") chart();
}

/* First guess of the axes: text or time along, the last number up. */
function arrange() {
  const island = document.getElementById("result-data");
  if (!island) return;
  const { columns, rows } = JSON.parse(island.textContent);
  const numeric = columns.filter(({ name }) => typeof rows[0][name] === "number");
  if (numeric.length) document.getElementById("chart-y").value = numeric.at(-1).name;
  const words = columns.find(({ name }) => typeof rows[0][name] !== "number");
  if (words) document.getElementById("chart-x").value = words.name;
}

function chart() {
  const { rows } = JSON.parse(document.getElementById("result-data").textContent);
  const pick = (id) => document.getElementById(id);
  const build = () => {
    const x = pick("chart-x").value;
    const y = pick("chart-y").value;
    return options({ kind: pick("chart-kind").value, x: rows.map((row) => row[x]), series: [{ name: y, unit: y, values: rows.map((row) => (typeof row[y] === "number" ? row[y] : Number(row[y]))) }] });
  };
  const place = pick("result-chart");
  if (place.dataset.drawn) return;
  place.dataset.drawn = "true";
  const { paint } = draw(place, build);
  for (const id of ["chart-kind", "chart-x", "chart-y"]) pick(id).addEventListener("change", paint);
}
