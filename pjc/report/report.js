"use strict";
// The page: what is chosen is shown in the graph, in the texts and in the details alike.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const labelAt = new Map(data.labels.map((label, at) => [label, at]));
const placeAt = new Map(data.places.map(([text, line], at) => [`${text}:${line}`, at]));
const placeOf = (node) => (node.place === null ? -1 : placeAt.get(node.place.join(":")) ?? -1);
let graph = null;
let panes = [];

function heading() {
  byId("name").textContent = plain(data.name);
  byId("facts").textContent = [["source", data.file], ...data.facts, ["pjc", data.pjc]]
    .map(([what, value]) => plain(`${what} ${value}`)).join(" · ");
}

/** Choose a node by its number, and none if it is null. */
function chooseNode(at) {
  const node = at === null ? null : data.nodes[at];
  graph?.mark(new Set(at === null ? [] : [at]));
  details(node, at);
  const label = node ? labelAt.get(node.label) ?? -1 : -2, place = node ? placeOf(node) : -2;
  for (const pane of panes) pane.light((link) => lighting(link, label, place));
  if (at !== null) graph?.reveal(at);
}

/** Choose a line: the node of it if it has one, or all that comes from its place in the source. */
function chooseLine(link, from) {
  const nodes = data.nodes.flatMap((node, at) => {
    const own = link.label >= 0 ? labelAt.get(node.label) === link.label : placeOf(node) === link.place;
    return own ? [at] : [];
  });
  graph?.mark(new Set(nodes));
  if (nodes.length) graph?.reveal(nodes[0]);
  details(nodes.length ? data.nodes[nodes[0]] : null, nodes[0] ?? null, nodes);
  for (const pane of panes) pane.light((each) => lighting(each, link.label, link.place), pane === from);
}

/** Return how a line is lit where a label and a place are chosen; -1 is none that a line could have. */
function lighting(link, label, place) {
  if (label >= 0 && link.label >= 0) return link.label === label ? "lit" : link.place === place && place >= 0 ? "near" : null;
  return link.place === place && place >= 0 ? "lit" : null;
}

function details(node, at, all = []) {
  const panel = byId("details");
  if (!node) return panel.replaceChildren(element("p", { class: "hint" }, "Choose a node or a line to see what is known of it."));
  const loop = node.loop === null ? null : data.loops[node.loop];
  const last = lastMeasure();
  const rows = [
    ["operator", node.operator], ["kind", node.kind], ["set", node.set], ["value", node.shape],
    ["operands", node.operands.join("; ")], ["part", node.part],
    ["level", node.level === null ? "" : `${node.level} product${node.level === 1 ? "" : "s"} to a requirement`],
    ["loop", loop ? `${loop.label} × ${loop.count.toLocaleString("en")}, one family` : ""],
    ["family", node.family > 1 ? `${node.family.toLocaleString("en")} along the first axis` : ""],
    ["source", node.place ? `${data.texts[node.place[0]].file}:${node.place[1]}` : ""],
    ["fused in", node.fused.join(", ")], ["form", node.form], ["why", node.reason],
    ["state", node.bytes ? bytes(node.bytes) : ""],
    ...(tracedRows(node).length ? tracedRows(node) : [last]),
  ].filter((row) => row && row[1]);
  const dl = element("dl", {}, ...rows.flatMap(([what, value]) =>
    [element("dt", {}, plain(what)), element("dd", { class: "name" }, plain(value))]));
  panel.replaceChildren(element("h3", { class: "name" }, plain(node.label)), dl, ...tracedCurves(node),
    ...jumps("reads", data.edges.filter((edge) => edge[1] === at).map((edge) => [edge[0], edge[2]])),
    ...jumps("is read by", data.edges.filter((edge) => edge[0] === at).map((edge) => [edge[1], edge[2]])),
    ...jumps("from this line too", all.slice(1).map((each) => [each, []])));
}

/** Return what the history says last of the whole problem: no history tells it of each constraint. */
function lastMeasure() {
  for (const name of ["gap", "demand"]) {
    const known = (data.history?.columns[name] ?? []).filter((value) => value !== null);
    if (known.length) return [`last ${name}`, `${told(known.at(-1))}, of all constraints`];
  }
  return null;
}

function jumps(title, others) {
  if (!others.length) return [];
  return [element("h3", {}, title), ...others.slice(0, 40).map(([at, views]) =>
    element("button", { type: "button", class: "go", click: () => chooseNode(at) },
      shortened(data.nodes[at].label, 60) + (views.length ? ` via ${views.join(", ")}` : "")))];
}

const FEW = 4; // so many parts have colors that have nothing to do with one another
const GOLDEN = 137.5; // degrees between hues, so that neighbours differ

/** Return what nodes can be colored by: a name, the hue of a node, and what the legend says. */
function colorings() {
  const parts = [...new Set(data.nodes.map((node) => node.part))].filter(Boolean)
    .sort(new Intl.Collator("en", { numeric: true }).compare);
  const levels = Math.max(0, ...data.nodes.map((node) => node.level ?? 0));
  const operators = [...new Set(data.nodes.map((node) => node.operator))].sort();
  const ramp = (at, last) => Math.round(215 + (last ? (at / last) * 165 : 0)) % 360;
  const hue = (at) => Math.round((215 + at * GOLDEN) % 360);
  return [
    traceColoring(),
    !parts.length ? null : parts.length <= FEW
      ? ["part", (node) => (node.part ? hue(parts.indexOf(node.part)) : null), `Colors are the parts ${parts.join(", ")}.`]
      : ["part", (node) => (node.part ? ramp(parts.indexOf(node.part), parts.length - 1) : null),
        `Colors are the ${parts.length} parts, from ${parts[0]} (blue) to ${parts.at(-1)} (red).`],
    data.nodes.some((node) => node.level !== null)
      ? ["level", (node) => (node.level === null ? null : ramp(node.level, levels)),
        `Colors are levels, from 0 at a requirement (blue) to ${levels} (red): the products in between.`]
      : null,
    ["operator", (node) => hue(operators.indexOf(node.operator)), "Colors are operators."],
  ].filter(Boolean);
}

function graphSection() {
  if (!data.nodes.length) {
    byId("graph").querySelector(".columns").replaceWith(element("p", {}, "The source starts behind the problem, so there is no graph of constraints."));
    byId("graph").querySelectorAll(".screen").forEach((each) => (each.hidden = true));
    return;
  }
  graph = new GraphView(byId("canvas"), data, chooseNode);
  const kinds = colorings();
  const choose = byId("colors");
  choose.append(...kinds.map(([name], at) => element("option", { value: at }, name)));
  const apply = () => {
    const [, hue, said] = kinds[Number(choose.value)];
    graph.color(hue);
    byId("moment-label").hidden = typeof said === "string";
    byId("legend").textContent = plain(`${typeof said === "string" ? said : said()} Boxes are constraints, bold ones requirements, round ones parameters, dashed ones given. ` +
      "A second outline: operations were fused into it. A box behind: a family, one for each iteration of the loop around. Dotted edges go through views.");
  };
  choose.addEventListener("change", apply);
  momentSlider(apply);
  apply();
  byId("closer").addEventListener("click", () => graph.zoom(1.25));
  byId("farther").addEventListener("click", () => graph.zoom(0.8));
  byId("fit").addEventListener("click", () => graph.fit());
  searching();
  details(null, null);
}

function searching() {
  const field = byId("search");
  let hits = [], at = -1;
  field.addEventListener("input", () => {
    const words = field.value.trim().toLowerCase();
    const told = (node) => `${node.label} ${node.operator} ${node.shape} ${node.part} ${node.fused.join(" ")}`.toLowerCase();
    hits = words ? graph.order.filter((each) => told(data.nodes[each]).includes(words)) : [];
    at = -1;
    graph.search(words ? new Set(hits) : null);
    byId("found").textContent = words ? `${hits.length} found` : "";
    if (hits.length) graph.reveal(hits[0]);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      field.value = "";
      field.dispatchEvent(new Event("input"));
    } else if (event.key === "Enter" && hits.length) {
      at = (at + (event.shiftKey ? hits.length - 1 : 1)) % hits.length;
      chooseNode(hits[at]);
      byId("found").textContent = `${at + 1} of ${hits.length}`;
    }
  });
}

function stageSection() {
  panes = panesOf(data, chooseLine);
  byId("panes").append(...panes.map((pane) => pane.whole));
  byId("panes-shown").append(...panes.map((pane) => {
    const box = element("input", { type: "checkbox", checked: true, change: () => (pane.whole.hidden = !box.checked) });
    return element("label", {}, box, " ", pane.whole.querySelector("h3").textContent);
  }));
}

function tableSection() {
  const counted = table("Constraints by kind and part", ["constraint", "part", "count"],
    data.constraints.map(([kind, part, count]) => [kind, part, count.toLocaleString("en")]), ["count"]);
  const explained = table("The form of each dot's copies, and what it costs", ["dot", "part", "size", "copies", "memory", "exact", "MFlop", "exact MFlop", "why"],
    data.explained.map((each) => [each.dot, each.part, each.size, each.form, bytes(each.bytes), bytes(each["exact bytes"]),
      (each.operations / 1e6).toFixed(1), (each["exact operations"] / 1e6).toFixed(1), each.reason]),
    ["memory", "exact", "MFlop", "exact MFlop"]);
  const nodes = table("All nodes", ["node", "operator", "part", "level", "value", "form", "state", "loop"],
    data.nodes.map((node, at) => [
      element("button", { type: "button", class: "go name", click: () => chooseNode(at) }, shortened(node.label, LONG)),
      node.operator, node.part, node.level ?? "", node.shape, node.form, node.bytes ? bytes(node.bytes) : "",
      node.loop === null ? "" : `${data.loops[node.loop].label} × ${data.loops[node.loop].count.toLocaleString("en")}`,
    ]), ["level", "state"]);
  const shown = [data.constraints.length ? counted : null, data.explained.length ? explained : null, data.nodes.length ? nodes : null];
  byId("tabled").append(...shown.filter(Boolean).map((each) =>
    element("details", { open: each.tBodies[0].rows.length <= 60 },
      element("summary", {}, each.caption.textContent), element("div", { class: "wide" }, each))));
  window.addEventListener("beforeprint", () => document.querySelectorAll("#tabled details").forEach((each) => (each.open = true)));
}

function historySection() {
  const { history } = data;
  if (!history) return;
  byId("curves").hidden = false;
  byId("curves-title").textContent = plain(`History: ${history.file}`);
  const over = ["epoch", "seconds"].filter((name) => (history.columns[name] ?? []).some((value) => value !== null));
  const charts = history.pictures.flatMap(({ title, columns }) => over.map((name) => chart(title, columns, history.columns, name)));
  byId("charts").append(...charts.filter(Boolean));
  const names = Object.keys(history.columns).filter((name) => history.columns[name].some((value) => value !== null));
  const rows = history.columns.epoch.map((_, at) => names.map((name) => told(history.columns[name][at])));
  byId("curves").append(element("details", {}, element("summary", {}, "Numbers"),
    element("div", { class: "wide" }, table("The history", names, rows, names))));
}

function themes() {
  const root = document.documentElement, button = byId("theme");
  const set = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
  };
  const wished = matchMedia("(prefers-color-scheme: dark)");
  set(wished.matches);
  wished.addEventListener("change", () => set(wished.matches));
  button.addEventListener("click", () => set(root.dataset.theme !== "dark"));
}

themes();
heading();
graphSection();
stageSection();
historySection();
traceSection();
tableSection();
document.documentElement.dataset.ready = "yes";
