/* The lineage as columns by distance: sources to the left, results to the right. A click walks on from there. */
import { draw } from "./charts.js";
import { colour } from "./shell.js";

const place = document.getElementById("lineage");
const data = JSON.parse(document.getElementById("lineage-data").textContent);
const [LEFT, RIGHT, TOP, BOTTOM] = [90, 90, 16, 36];
const SYMBOLS = { dataset: "roundRect", external: "rect", run: "circle", push: "triangle", component: "diamond", indicator: "pin", org: "emptyCircle" };
const PAINTS = { dataset: "--accent", external: "--ink3", run: "--good", push: "--warn", component: "--level-middle", indicator: "--bad", org: "--ink2" };

function columns() {
  const found = new Map();
  for (const node of data.nodes) found.set(node.place, [...(found.get(node.place) ?? []), node]);
  return [...found.keys()].sort((one, other) => one - other).map((key) => found.get(key));
}

function chartOptions() {
  const box = place.getBoundingClientRect();
  const width = box.width - LEFT - RIGHT;
  const height = box.height - TOP - BOTTOM;
  const levels = columns();
  /* The series scales what it holds to its box: two corners keep that scale at one, so marks keep their shape. */
  const corners = [[0, 0], [width, height]].map(([x, y], index) => ({ id: `corner-${index}`, name: "", x, y, symbol: "none", symbolSize: 0, label: { show: false } }));
  const points = levels.flatMap((level, x) => level.map((node, y) => ({
    id: node.id, name: node.label, url: node.url, hint: node.hint, symbol: SYMBOLS[node.kind],
    x: ((x + 0.5) / levels.length) * width, y: ((y + 0.5) / level.length) * height,
    symbolSize: node.is_start ? 18 : 12,
    itemStyle: { color: colour(PAINTS[node.kind]), borderColor: node.is_start ? colour("--ink") : colour("--card"), borderWidth: node.is_start ? 2 : 1 },
    label: { show: node.is_start || level.length <= 12 },
  })));
  return {
    animation: false, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    tooltip: {
      renderMode: "richText", confine: true, backgroundColor: colour("--card"), borderColor: colour("--line2"),
      textStyle: { color: colour("--ink"), fontSize: 12 }, formatter: ({ data: item }) => item.hint ?? item.columns ?? "",
    },
    series: [{
      type: "graph", layout: "none", roam: true, left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM, scaleLimit: { min: 0.3, max: 6 },
      data: [...points, ...corners], links: data.links.map(([source, target, names]) => ({ source, target, columns: names })),
      edgeSymbol: ["none", "arrow"], edgeSymbolSize: 6, lineStyle: { color: colour("--ink3"), opacity: 0.5, width: 1.2, curveness: 0.06 },
      label: { position: "bottom", fontSize: 12, color: colour("--ink"), width: 150, overflow: "truncate" }, labelLayout: { hideOverlap: true },
      emphasis: { focus: "adjacency", lineStyle: { color: colour("--accent"), opacity: 0.9 } },
    }],
  };
}

function show() {
  if (!place.offsetParent) return false;
  const { chart } = draw(place, chartOptions);
  chart.on("click", ({ data: item }) => { if (item?.url) location.assign(item.url); });
  place.dataset.drawn = "true";
  return true;
}

if (!show()) {
  const wide = matchMedia("(min-width: 761px)");
  wide.addEventListener("change", () => { if (!place.dataset.drawn) show(); });
}
