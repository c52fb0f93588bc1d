/* Draws the charts whose data stand in the page: <div data-chart="id of a JSON script">. */
import { colour, onThemeChange } from "./shell.js";

const SERIES = ["--series1", "--series2", "--series3", "--series4", "--series5", "--series6"];
const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3], [12, 3], [2, 2]];
const MARKS = ["circle", "rect", "triangle", "diamond", "roundRect", "pin"];

function axis(extra) {
  return {
    axisLine: { lineStyle: { color: colour("--line2") } },
    axisTick: { show: false },
    axisLabel: { color: colour("--ink2"), fontSize: 12, hideOverlap: true },
    nameTextStyle: { color: colour("--ink2"), fontSize: 12 },
    splitLine: { lineStyle: { color: colour("--line") } },
    ...extra,
  };
}

/** Options of a chart {kind, x, series: [{name, unit, values}], stacked}; units that differ get a grid each. */
export function options({ kind, x, series, stacked = false }) {
  const units = [...new Set(series.map((line) => line.unit ?? ""))].slice(0, 3);
  const share = 100 / units.length;
  const numeric = kind === "scatter" && x.every((value) => typeof value === "number");
  return {
    animation: false,
    aria: { enabled: false },
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    tooltip: {
      trigger: kind === "scatter" ? "item" : "axis", renderMode: "richText", confine: true,
      backgroundColor: colour("--card"), borderColor: colour("--line2"), textStyle: { color: colour("--ink"), fontSize: 12 },
    },
    legend: series.length > 1 ? { top: 0, right: 8, itemGap: 16, textStyle: { color: colour("--ink2") } } : undefined,
    grid: units.map((_, index) => ({ left: 8, right: 16, top: `${index * share + 10}%`, height: `${share - 14}%`, containLabel: true })),
    xAxis: units.map((_, index) => axis({
      gridIndex: index, type: numeric ? "value" : "category", data: numeric ? undefined : x, scale: numeric, splitLine: { show: false },
      axisLabel: { show: index === units.length - 1, color: colour("--ink2"), hideOverlap: true },
    })),
    yAxis: units.map((unit, index) => axis({ gridIndex: index, type: "value", name: unit, scale: kind !== "bar", axisLine: { show: false }, splitNumber: 4 })),
    series: series.map((line, index) => {
      const grid = Math.max(0, units.indexOf(line.unit ?? ""));
      const paint = colour(SERIES[index % SERIES.length]);
      return {
        type: kind, name: line.name, xAxisIndex: grid, yAxisIndex: grid, color: paint,
        data: numeric ? line.values.map((value, place) => [x[place], value]) : line.values,
        lineStyle: { width: 2, type: DASHES[index % DASHES.length] }, symbol: MARKS[index % MARKS.length],
        symbolSize: kind === "scatter" ? 7 : 5, showSymbol: kind === "scatter" || x.length <= 48, connectNulls: false,
        barMaxWidth: 36, stack: stacked ? "all" : undefined, barCategoryGap: stacked ? "0%" : undefined,
      };
    }),
  };
}

/** Draw into an element and keep it right when its size or the theme changes; after runs once something was drawn. */
export function draw(element, build, after = () => {}) {
  element.replaceChildren();
  const chart = echarts.init(element, null, { renderer: "canvas" });
  const paint = () => { chart.setOption(build(), true); after(chart); };
  paint();
  new ResizeObserver(() => chart.resize()).observe(element);
  onThemeChange(paint);
  return { chart, paint };
}

for (const element of document.querySelectorAll("[data-chart]")) {
  const data = JSON.parse(document.getElementById(element.dataset.chart).textContent);
  draw(element, () => options(data));
}
