/* The chain as force graph or tree. A click goes to the node. Below 760 px the page shows lists instead. */
import { draw } from "./charts.js";
import { colour } from "./shell.js";

const place = document.getElementById("graph");
const data = JSON.parse(document.getElementById("graph-data").textContent);

function style(level) {
  const paint = colour(`--level-${level}`);
  if (level !== "missing") return { color: paint };
  return { color: colour("--card"), borderColor: paint, borderWidth: 1.5, borderType: [3, 2.4] };
}

const largest = Math.max(1, ...data.nodes.map((node) => node.local_enterprises ?? 0));
const scale = data.nodes.length > 120 ? 0.55 : 1;
const size = (node) => scale * (8 + 22 * Math.sqrt((node.local_enterprises ?? 0) / largest));
const hint = (node) => `${node.name}\n${data.levels[node.level]} · ${node.local_enterprises ?? 0} ${data.words.enterprises}${node.is_key ? ` · ${data.words.key}` : ""}`;
const tooltip = () => ({
  renderMode: "richText", confine: true, backgroundColor: colour("--card"), borderColor: colour("--line2"),
  textStyle: { color: colour("--ink"), fontSize: 12 }, formatter: ({ data: item }) => item.hint ?? "",
});
const font = () => ({ fontFamily: getComputedStyle(document.body).fontFamily });

/* A place between 0 and 1 for the n-th node, evenly spread and the same at each visit (golden ratio sequence). */
const part = (n) => (n * 0.61803398875) % 1;

function graphOptions() {
  const heaviest = Math.max(1, ...data.links.map((link) => link[2] ?? 1));
  const many = data.nodes.length > 120;
  const stages = [...new Set(data.nodes.map((node) => node.stage ?? ""))];
  const { width, height } = place.getBoundingClientRect();
  const reach = Math.sqrt((width * height) / Math.max(1, data.nodes.length));
  return {
    animation: false, textStyle: font(), tooltip: tooltip(),
    series: [{
      type: "graph", layout: "force", roam: true, left: 40, right: 130, top: 24, bottom: 24, draggable: !many, scaleLimit: { min: 0.3, max: 6 },
      /* Start each node in its stage's column: the forces keep up and down the chain from left to right. */
      data: data.nodes.map((node, index) => ({
        id: node.id, name: node.name, url: node.url, hint: hint(node), symbolSize: size(node), itemStyle: style(node.level),
        x: ((stages.indexOf(node.stage ?? "") + 0.2 + 0.6 * part(index)) / stages.length) * width, y: ((index * 37) % 101) / 101 * height,
        label: { show: !many || node.is_key, color: node.level === "missing" ? colour("--level-missing") : colour("--ink") },
      })),
      links: data.links.map(([source, target, weight]) => ({
        source, target, lineStyle: { width: 0.6 + (1.8 * (weight ?? 1)) / heaviest },
      })),
      edgeSymbol: many ? ["none", "none"] : ["none", "arrow"], edgeSymbolSize: 5,
      lineStyle: { color: colour("--ink3"), opacity: many ? 0.07 : 0.32, curveness: 0.08 },
      label: { position: "right", fontSize: 12, color: colour("--ink") }, labelLayout: { hideOverlap: true },
      emphasis: { focus: "adjacency", lineStyle: { color: colour("--accent"), opacity: 0.8 }, label: { show: true } },
      force: { repulsion: reach * 2.2, edgeLength: [reach * 0.45, reach * 1.1], gravity: 0.1, friction: 0.4, layoutAnimation: false },
    }],
  };
}

/* The forces leave a round cloud: spread it over the whole panel, whatever its shape, and fix it there. */
function spread(chart) {
  const model = chart.getModel().getSeriesByIndex(0).getData();
  const at = data.nodes.map((_, index) => model.getItemLayout(index));
  if (at.length < 3 || at.some((point) => !point)) return;
  const low = [0, 1].map((axis) => Math.min(...at.map((point) => point[axis])));
  const span = [0, 1].map((axis) => Math.max(...at.map((point) => point[axis])) - low[axis] || 1);
  const { width, height } = place.getBoundingClientRect();
  const options = graphOptions();
  const [series] = options.series;
  series.layout = "none";
  series.data.forEach((node, index) => {
    node.x = ((at[index][0] - low[0]) / span[0]) * (width - 170);
    node.y = ((at[index][1] - low[1]) / span[1]) * (height - 48);
  });
  chart.setOption(options, true);
}

function tree() {
  const stages = new Map();
  const known = new Map(data.nodes.map((node) => [node.id, { node, children: [] }]));
  for (const entry of known.values()) {
    const parent = entry.node.parent && known.get(entry.node.parent);
    if (parent && parent !== entry) { parent.children.push(entry); continue; }
    const stage = entry.node.stage ?? data.words.none;
    if (!stages.has(stage)) stages.set(stage, []);
    stages.get(stage).push(entry);
  }
  const shown = (entry) => ({
    name: entry.node.name, url: entry.node.url, hint: hint(entry.node), symbolSize: Math.min(20, size(entry.node) * 0.7), itemStyle: style(entry.node.level),
    label: { color: entry.node.level === "missing" ? colour("--level-missing") : colour("--ink") },
    children: entry.children.length ? entry.children.map(shown) : undefined,
  });
  const plain = { color: colour("--line2") };
  return {
    name: data.name, hint: data.name, symbolSize: 10, itemStyle: { color: colour("--accent") },
    children: [...stages].map(([name, entries]) => ({ name, hint: `${name} · ${entries.length}`, symbolSize: 8, itemStyle: plain, children: entries.map(shown) })),
  };
}

function treeOptions() {
  return {
    animation: false, textStyle: font(), tooltip: { ...tooltip(), trigger: "item" },
    series: [{
      type: "tree", data: [tree()], orient: "LR", left: 110, right: 170, top: 10, bottom: 10, initialTreeDepth: -1, expandAndCollapse: false, roam: data.nodes.length > 60,
      symbol: "circle", edgeShape: "curve", lineStyle: { color: colour("--line2"), width: 1 },
      label: { position: "left", align: "right", verticalAlign: "middle", fontSize: 12.5, color: colour("--ink2"), distance: 7, backgroundColor: colour("--card"), padding: [2, 4] },
      leaves: { label: { position: "right", align: "left", color: colour("--ink") } }, emphasis: { focus: "descendant" },
    }],
  };
}

function show() {
  if (!place.offsetParent) return false;
  if (place.dataset.view === "tree") place.style.height = `${Math.max(520, data.nodes.length * 20)}px`;
  const isTree = place.dataset.view === "tree";
  const { chart } = draw(place, isTree ? treeOptions : graphOptions, isTree ? undefined : spread);
  chart.on("click", ({ data: item }) => { if (item?.url) location.assign(item.url); });
  place.dataset.drawn = "true";
  return true;
}

if (!show()) {
  const wide = matchMedia("(min-width: 761px)");
  wide.addEventListener("change", () => { if (!place.dataset.drawn) show(); });
}
