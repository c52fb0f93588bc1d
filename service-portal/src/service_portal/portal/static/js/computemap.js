/* The compute network: centres on the borders that the platform has, else as a graph; links dashed, flows and transfers
   curved. A click on a centre, a link or a transfer leads to its page. */
import { draw } from "./charts.js";
import { colour } from "./shell.js";

const place = document.getElementById("compute-map");
const island = document.getElementById("compute-map-data");

if (place && island) {
  const data = JSON.parse(island.textContent);
  const most = Math.max(1, ...data.centres.map((centre) => centre.cores));
  const heaviest = Math.max(1e-9, ...data.flows.map((flow) => flow.hours));
  const widest = Math.max(1e-9, ...data.links.map((link) => link.capacity_gbit_s));
  const size = (centre) => 12 + 26 * Math.sqrt(centre.cores / most);
  const short = (number) => (number >= 100 ? Math.round(number) : Number(number.toPrecision(3)));

  function paint(centre) {
    if (centre.load === null || centre.state === "lost") return { color: colour("--card"), borderColor: colour("--level-missing"), borderWidth: 1.5, borderType: [3, 2.4] };
    const token = centre.load >= 0.85 ? "--level-missing" : centre.load >= 0.5 ? "--level-weak" : "--level-strong";
    return { color: colour(token), borderColor: colour("--card"), borderWidth: 1.5 };
  }
  function hint(centre) {
    const load = centre.load === null ? data.words.none : `${data.words.load} ${short(100 * centre.load)}% · ${short(centre.used)} / ${short(centre.cores)} ${data.words.cores}`;
    return `${centre.title}\n${load}\n${data.words.jobs} ${centre.jobs}`;
  }
  const linkPage = (link) => `/network/links/${encodeURIComponent(link.one)}/${encodeURIComponent(link.other)}`;
  const centrePage = (centre) => `/centres/${encodeURIComponent(centre.id)}`;
  const moved = (line) => `${data.words.transfers} ${line.from} → ${line.to}\n${line.count} · ${short(line.gbit_s)} Gbit/s`;
  const movedPage = "/network/transfers?state=alive";
  const linkHint = (link) => `${data.words.link} ${link.one} – ${link.other}\n${link.capacity_gbit_s} Gbit/s`;
  const flowHint = (flow) => `${flow.who.join("\n")}\n${short(flow.hours)} ${data.words.hours}`;
  const shared = () => ({
    animation: false, aria: { enabled: false }, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    tooltip: {
      trigger: "item", renderMode: "richText", confine: true, backgroundColor: colour("--card"), borderColor: colour("--line2"),
      textStyle: { color: colour("--ink"), fontSize: 12 }, formatter: ({ data: item }) => item?.hint ?? "",
    },
  });
  const label = () => ({ show: true, position: "right", formatter: "{b}", fontSize: 12, color: colour("--ink"), textBorderColor: colour("--card"), textBorderWidth: 3 });

  function mapOptions() {
    const places = Object.fromEntries(data.centres.map((centre) => [centre.id, centre.point]));
    const moving = data.flows.filter((flow) => Math.hypot(flow.from[0] - flow.to[0], flow.from[1] - flow.to[1]) > 0.01);
    return {
      ...shared(),
      geo: {
        map: "borders", roam: true, scaleLimit: { min: 1, max: 12 }, left: 10, right: 10, top: 10, bottom: 10, silent: true,
        itemStyle: { areaColor: colour("--sunk"), borderColor: colour("--line2"), borderWidth: 0.8 },
        label: { show: true, fontSize: 10, color: colour("--ink3") },
        /* A city's name gives way to the centre that stands on it. */
        regions: taken.map((name) => ({ name, label: { show: false } })),
      },
      series: [
        {
          type: "lines", coordinateSystem: "geo", z: 2, lineStyle: { color: colour("--ink3"), type: "dashed", opacity: 0.75 },
          data: data.links.filter((link) => link.from && link.to).map((link) => ({ coords: [link.from, link.to], hint: linkHint(link), href: linkPage(link), lineStyle: { width: 1 + 2 * (link.capacity_gbit_s / widest) } })),
        },
        {
          type: "lines", coordinateSystem: "geo", z: 3, symbol: ["none", "arrow"], symbolSize: 7, lineStyle: { color: colour("--series1"), curveness: 0.22, opacity: 0.6 },
          data: moving.map((flow) => ({ coords: [flow.from, flow.to], hint: flowHint(flow), lineStyle: { width: 1 + 4 * Math.sqrt(flow.hours / heaviest) } })),
        },
        {
          type: "lines", coordinateSystem: "geo", z: 3, symbol: ["none", "arrow"], symbolSize: 8, lineStyle: { color: colour("--series2"), curveness: -0.16, width: 2.5 },
          data: data.transfers.filter((line) => places[line.from] && places[line.to]).map((line) => ({ coords: [places[line.from], places[line.to]], hint: moved(line), href: movedPage })),
        },
        {
          type: "scatter", coordinateSystem: "geo", z: 4, label: label(), labelLayout: { hideOverlap: true },
          data: data.centres.filter((centre) => centre.point).map((centre) => ({ name: centre.title, value: [...centre.point, centre.cores], hint: hint(centre), href: centrePage(centre), symbolSize: size(centre), itemStyle: paint(centre) })),
        },
      ],
    };
  }

  function graphOptions() {
    return {
      ...shared(),
      series: [{
        type: "graph", layout: "circular", roam: true, left: 60, right: 160, top: 40, bottom: 40, label: label(),
        data: data.centres.map((centre) => ({ id: centre.id, name: centre.title, hint: hint(centre), href: centrePage(centre), symbolSize: size(centre), itemStyle: paint(centre) })),
        links: [
          ...data.links.map((link) => ({ source: link.one, target: link.other, hint: linkHint(link), href: linkPage(link), lineStyle: { type: "dashed", width: 1 + 2 * (link.capacity_gbit_s / widest), color: colour("--ink3") } })),
          ...data.transfers.map((line) => ({ source: line.from, target: line.to, hint: moved(line), href: movedPage, symbol: ["none", "arrow"], lineStyle: { width: 2.5, curveness: 0.2, color: colour("--series2") } })),
        ],
      }],
    };
  }

  const show = (options) => draw(place, options).chart.on("click", ({ data: item }) => { if (item?.href) location.assign(item.href); });
  let taken = [];
  const near = ([x, y]) => data.centres.some((centre) => centre.point && Math.abs(centre.point[0] - x) < 0.5 && Math.abs(centre.point[1] - y) < 0.25);
  const start = async () => {
    if (!data.geographic) { show(graphOptions); return; }
    const reply = await fetch(data.borders);
    if (!reply.ok) { show(graphOptions); return; }
    const borders = await reply.json();
    taken = borders.features.filter((city) => city.properties.cp && near(city.properties.cp)).map((city) => city.properties.name);
    echarts.registerMap("borders", borders);
    show(mapOptions);
  };
  start().finally(() => { place.dataset.drawn = "true"; });
}
