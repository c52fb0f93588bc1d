/* The schedule of a simulation: one chart a plan, a row a lane of each centre, a bar a job. */
import { draw } from "./charts.js";
import { colour } from "./shell.js";

const data = JSON.parse(document.getElementById("gantt-data").textContent);
const SERIES = ["--series1", "--series2", "--series3", "--series4", "--series5", "--series6"];
const HOUR = 3600;
const hours = Math.max(1, ...data.plans.flatMap((plan) => plan.bars.map((bar) => bar[3]))) / HOUR;
const longest = hours > 3 ? Math.ceil(hours) : hours;

function options(plan) {
  const starts = [];
  let rows = 0;
  plan.lanes.forEach((count) => { starts.push(rows); rows += count; });
  const palette = SERIES.map(colour);
  const names = new Map(starts.map((start, place) => [start + Math.floor((plan.lanes[place] - 1) / 2), data.centres[place]]));
  return {
    animation: false, aria: { enabled: false }, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 18, top: 26, bottom: 44, containLabel: true },
    title: { text: plan.title, left: 0, top: 0, textStyle: { fontSize: 13, fontWeight: 600, color: colour("--ink") } },
    tooltip: {
      renderMode: "richText", confine: true, backgroundColor: colour("--card"), borderColor: colour("--line2"), textStyle: { color: colour("--ink"), fontSize: 12 },
      formatter: ({ value }) => `${value[6]}\n${data.tenants[value[7]]} · ${data.words.processors} ${value[4]}\n${data.words.wait} ${Math.round(value[5])} · ${data.words.run} ${Math.round((value[3] - value[2]) * HOUR)}`,
    },
    dataZoom: [{ type: "inside", filterMode: "weakFilter" }, { type: "slider", height: 14, bottom: 4, filterMode: "weakFilter", showDetail: false, brushSelect: false, borderColor: colour("--line2") }],
    xAxis: {
      type: "value", min: 0, max: longest, name: data.words.time, nameLocation: "middle", nameGap: 24, nameTextStyle: { color: colour("--ink2") },
      axisLabel: { color: colour("--ink2"), showMaxLabel: false }, axisLine: { lineStyle: { color: colour("--line2") } }, splitLine: { lineStyle: { color: colour("--line") } },
    },
    yAxis: {
      type: "category", inverse: true, data: Array.from({ length: rows }, (_, row) => names.get(row) ?? ""), axisTick: { show: false }, axisLine: { lineStyle: { color: colour("--line2") } },
      axisLabel: { color: colour("--ink2"), interval: (row) => names.has(row) },
    },
    series: [{
      type: "custom", clip: true, encode: { x: [2, 3], y: 1 },
      data: plan.bars.map((bar) => [bar[0], starts[bar[0]] + bar[1], bar[2] / HOUR, bar[3] / HOUR, ...bar.slice(4)]),
      renderItem: (params, api) => {
        const from = api.coord([api.value(2), api.value(1)]);
        const to = api.coord([api.value(3), api.value(1)]);
        const height = Math.max(2, api.size([0, 1])[1] * 0.78);
        const shape = echarts.graphic.clipRectByRect(
          { x: from[0], y: from[1] - height / 2, width: Math.max(1, to[0] - from[0]), height },
          { x: params.coordSys.x, y: params.coordSys.y, width: params.coordSys.width, height: params.coordSys.height },
        );
        return shape && { type: "rect", shape, style: { fill: palette[api.value(7) % palette.length], opacity: 0.85 } };
      },
    }],
  };
}

const place = document.getElementById("gantts");
for (const plan of data.plans) {
  const box = document.createElement("div");
  const rows = plan.lanes.reduce((sum, count) => sum + count, 0);
  box.style.height = `${Math.min(560, Math.max(150, 84 + rows * 12))}px`;
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", plan.title);
  place.append(box);
  draw(box, () => options(plan));
}
