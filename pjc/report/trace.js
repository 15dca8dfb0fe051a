"use strict";
// What a trace says of each node over the updates: colors of the graph, curves of a node, and a map of all.

const HEAT = { rows: 30, row: 17, width: 900, left: 250, right: 16, top: 8, bottom: 40 };

/** Return what an object has of its own by a label, which may be that of a method; undefined if nothing. */
function ofLabel(numbers, label) {
  return numbers && Object.hasOwn(numbers, label) ? numbers[label] : undefined;
}

/** Return the numbers of the measure by which nodes are compared, by label; null where there is no trace. */
function blame() {
  const { trace } = data;
  return trace?.blamed && trace.steps.length ? trace.nodes[trace.blamed] : null;
}

/** Return how far up a value is, from 0 to 1, among all that the measure had: by powers of ten. */
function heightOf(value, [low, high]) {
  if (!(value > 0)) return 0;
  return high > low ? Math.min(1, Math.max(0, Math.log(value / low) / Math.log(high / low))) : 1;
}

function rangeOf(numbers) {
  const all = Object.values(numbers).flat().filter((value) => value > 0);
  const high = all.reduce((one, other) => Math.max(one, other), 0);
  const low = all.reduce((one, other) => Math.min(one, other), high);
  return all.length ? [Math.max(low, high * 1e-5), high] : [1, 1];
}

const heat = (height) => Math.round(215 + height * 145) % 360; // from blue over violet to red

/** Return the coloring of nodes by what holds the problem back at the update that the slider is at. */
function traceColoring() {
  const numbers = blame();
  if (!numbers) return null;
  const range = rangeOf(numbers);
  const hue = (node) => {
    const value = ofLabel(numbers, node.label)?.[Number(byId("moment").value)];
    return value === undefined || value === null ? null : heat(heightOf(value, range));
  };
  return [`${data.trace.blamed} in the trace`, hue, () => {
    const at = Number(byId("moment").value);
    const known = Object.entries(numbers).map(([name, values]) => [values[at], name]).filter(([value]) => value !== null);
    const [value, name] = known.reduce((one, other) => (other[0] > one[0] ? other : one), [-1, ""]);
    return `Colors are the ${data.trace.blamed} at update ${data.trace.steps[at].toLocaleString("en")}, from the smallest (blue) to the largest (red) of the trace: ` +
      `the largest is ${told(value)}, of ${name}.`;
  }];
}

/** Let the slider go through the updates; `apply()` colors the graph anew. */
function momentSlider(apply) {
  const slider = byId("moment"), steps = data.trace?.steps ?? [];
  if (!blame()) return;
  slider.max = steps.length - 1;
  slider.value = steps.length - 1;
  slider.addEventListener("input", () => {
    slider.setAttribute("aria-valuetext", `update ${steps[Number(slider.value)]}`);
    apply();
  });
}

/** Return what the trace says of a node: its last numbers, for the list, and small curves. */
function tracedRows(node) {
  if (!data.trace) return [];
  return Object.entries(data.trace.nodes).flatMap(([measure, nodes]) => {
    const known = (ofLabel(nodes, node.label) ?? []).filter((value) => value !== null);
    return known.length ? [[`last ${measure}`, told(known.at(-1))]] : [];
  });
}

function tracedCurves(node) {
  if (!data.trace) return [];
  const { steps, nodes, iterations, about } = data.trace;
  const over = (title, measure, xs, name, values) => {
    const made = values && chart(title, [measure], { [name]: xs, [measure]: values }, name);
    made?.setAttribute("title", plain(about[measure]));
    return made ?? null;
  };
  return Object.keys(nodes).flatMap((measure) => {
    const each = ofLabel(iterations[measure], node.label);
    return [over(measure, measure, steps, "update", ofLabel(nodes[measure], node.label)),
      over(`${measure} of each iteration`, measure, each?.map((_, at) => at), "iteration", each)];
  }).filter(Boolean);
}

/** Return a map of the nodes with the largest numbers: a row for each, a column for each moment. */
function heatMap(measure, numbers, steps, choose) {
  const mean = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0) / values.length;
  const order = new Map(data.nodes.map((node, at) => [node.label, at]));
  const largest = Object.entries(numbers).sort((a, b) => mean(b[1]) - mean(a[1])).slice(0, HEAT.rows)
    .sort((a, b) => (order.get(a[0]) ?? 0) - (order.get(b[0]) ?? 0));
  const range = rangeOf(numbers), wide = (HEAT.width - HEAT.left - HEAT.right) / steps.length;
  const height = HEAT.top + HEAT.row * largest.length + HEAT.bottom;
  const rows = largest.map(([name, values], row) => {
    const y = HEAT.top + row * HEAT.row;
    const cells = values.map((value, at) => {
      const cell = drawn("rect", { class: "cell", x: (HEAT.left + at * wide).toFixed(2), y, width: (wide + 0.3).toFixed(2), height: HEAT.row - 1 });
      const up = value === null ? 0 : heightOf(value, range);
      cell.style.setProperty("--hue", heat(up));
      cell.style.setProperty("--up", value === null ? 0 : 0.15 + 0.85 * up);
      return cell;
    });
    return drawn("g", { class: "heat", click: () => order.has(name) && choose(order.get(name)) },
      drawn("title", {}, plain(`${name}: ${told(values[0])} at first, ${told(values.at(-1))} at last`)),
      ...cells, drawn("text", { x: HEAT.left - 8, y: y + 12, "text-anchor": "end" }, shortened(name, 34)));
  });
  const marks = [0, 0.5, 1].map((part) => Math.round(part * (steps.length - 1))).filter((at, number, all) => all.indexOf(at) === number);
  const below = marks.map((at) => drawn("text", { x: HEAT.left + (at + 0.5) * wide, y: height - HEAT.bottom + 15, "text-anchor": "middle" }, String(steps[at])));
  const [first] = [...largest].sort((a, b) => mean(b[1]) - mean(a[1]));
  const svg = drawn("svg", { viewBox: `0 0 ${HEAT.width} ${height}`, role: "img", "aria-label": plain(`${measure} of ${largest.length} nodes over ${steps.length} moments; the largest on average is ${first?.[0]}`) },
    ...rows, ...below, drawn("text", { x: (HEAT.left + HEAT.width) / 2, y: height - 6, "text-anchor": "middle" }, "update"));
  return element("figure", { class: "chart map" },
    element("figcaption", {}, plain(`${measure}: ${data.trace.about[measure]}`)), svg);
}

function traceSection() {
  const { trace } = data;
  if (!trace) return;
  byId("traced").hidden = false;
  byId("traced-title").textContent = plain(`Trace: ${trace.file}`);
  byId("findings").append(...trace.findings.map((each) => element("li", {}, plain(each))));
  const shown = Object.entries(trace.nodes).filter(([, numbers]) => Object.values(numbers).flat().some((value) => value > 0));
  byId("maps").append(...shown.map(([measure, numbers]) => heatMap(measure, numbers, trace.steps, chooseNode)));
}
