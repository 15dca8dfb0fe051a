"use strict";
// The columns of a history as curves, over epochs and over seconds.

const CHART = { width: 460, height: 270, left: 62, right: 16, top: 14, bottom: 40 };
const DASHES = ["", "7 4", "2 4", "10 3 2 3"];

/** Return a figure of columns over the column `over`. */
function chart(title, names, columns, over) {
  const curves = names.map((name) => points(columns[over], columns[name])).map((line, at) => [names[at], line]);
  const all = curves.flatMap(([, line]) => line);
  if (!all.length) return null;
  const ys = all.map(([, y]) => y);
  const log = Math.min(...ys) > 0 && Math.max(...ys) > 100 * Math.min(...ys);
  const x = axis(all.map(([x]) => x), CHART.left, CHART.width - CHART.right, false);
  const y = axis(ys, CHART.height - CHART.bottom, CHART.top, log);
  const grid = y.ticks.map((tick) => drawn("g", {},
    drawn("line", { class: "grid", x1: CHART.left, x2: CHART.width - CHART.right, y1: y.at(tick), y2: y.at(tick) }),
    drawn("text", { x: CHART.left - 6, y: y.at(tick) + 4, "text-anchor": "end" }, told(tick))));
  const below = x.ticks.map((tick) =>
    drawn("text", { x: x.at(tick), y: CHART.height - CHART.bottom + 16, "text-anchor": "middle" }, told(tick)));
  const lines = curves.flatMap(([name, line], at) => curve(name, line, at, x, y));
  const said = curves.map(([name, line]) => `${plain(name)} from ${told(line[0]?.[1])} to ${told(line.at(-1)?.[1])}`);
  const svg = drawn("svg", {
    viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", "aria-label": `${plain(title)} over ${over}: ${said.join("; ")}`,
  }, ...grid, ...below,
    drawn("text", { x: CHART.width / 2, y: CHART.height - 6, "text-anchor": "middle" }, over + (log ? "; the scale is logarithmic" : "")),
    ...lines);
  const key = names.map((name, at) => drawn("g", {},
    drawn("line", { class: "curve", x1: CHART.left + 8, x2: CHART.left + 34, y1: 22 + 15 * at, y2: 22 + 15 * at, "stroke-dasharray": DASHES[at % 4] }),
    drawn("text", { x: CHART.left + 40, y: 26 + 15 * at }, shortened(name, 40))));
  key.forEach((each, at) => each.style.setProperty("--hue", hueOfCurve(at)));
  if (names.length > 1) svg.append(...key);
  return element("figure", { class: "chart" }, element("figcaption", {}, plain(title)), svg);
}

function points(xs, ys) {
  return xs.map((x, at) => [x, ys[at]]).filter(([x, y]) => x !== null && y !== null);
}

function curve(name, line, at, x, y) {
  const path = line.map(([a, b], step) => `${step ? "L" : "M"}${x.at(a).toFixed(1)} ${y.at(b).toFixed(1)}`).join("");
  const made = [drawn("path", { class: "curve", d: path, "stroke-dasharray": DASHES[at % 4] }, drawn("title", {}, plain(name)))];
  if (line.length <= 60) made.push(...line.map(([a, b]) => drawn("circle", { class: "dot", cx: x.at(a), cy: y.at(b), r: 2.4 })));
  for (const each of made) each.style.setProperty("--hue", hueOfCurve(at));
  return made;
}

function hueOfCurve(at) {
  return [215, 25, 150, 285, 350, 95][at % 6];
}

/** Return an axis between two places: where a value is, and its ticks. */
function axis(values, from, to, log) {
  const of = log ? Math.log10 : (value) => value;
  let low = Math.min(...values.map(of)), high = Math.max(...values.map(of));
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const step = log ? Math.max(1, Math.ceil((high - low) / 6)) : niceStep((high - low) / 5);
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9 && ticks.length < 20; at += step) ticks.push(log ? 10 ** at : at);
  return { ticks, at: (value) => from + ((of(value) - low) / (high - low)) * (to - from) };
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
}

function told(value) {
  return value === undefined || value === null ? "" : String(Number(value.toPrecision(4)));
}
