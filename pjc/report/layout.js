"use strict";
// Where the boxes of the graph are: dagre lays out cells, which hold a box and what it alone reads; a layout
// that is much higher than wide is cut into columns.

const BOX = { width: 172, height: 44 };
const PILL = { width: 150, height: 34, gap: 5, beside: 14 };
const GAP = { rank: 34, node: 26, column: 90 };
const MANY = 300; // nodes from which on the quick ranking of dagre is taken

/** Return {boxes, loops, edges, width, height} for nodes, edges and loops of the data. */
function laidOut(data) {
  const host = hosts(data);
  const cells = cellsOf(data, host);
  const found = ranked(data, host, cells);
  const columns = cut(found);
  return placed(data, host, cells, found, columns);
}

/** Return for each node the node in whose cell it is: itself, or the one reader of what is only given. */
function hosts(data) {
  const readers = data.nodes.map(() => new Set());
  const reads = data.nodes.map(() => 0);
  for (const [source, reader] of data.edges) {
    readers[source].add(reader);
    reads[reader]++;
  }
  return data.nodes.map((node, at) => {
    const [only] = readers[at];
    const free = reads[at] === 0 && readers[at].size === 1;
    return free && node.loop === data.nodes[only].loop && reads[only] > 1 ? only : at;
  });
}

function cellsOf(data, host) {
  const cells = new Map();
  host.forEach((own, at) => {
    if (!cells.has(own)) cells.set(own, []);
    if (own !== at) cells.get(own).push(at);
  });
  return cells;
}

function sizeOf(beside) {
  if (!beside.length) return { ...BOX };
  const stack = beside.length * (PILL.height + PILL.gap) - PILL.gap;
  return { width: BOX.width + PILL.beside + PILL.width, height: Math.max(BOX.height, stack) };
}

/** Return dagre's layout of the cells: points of cells, edges and loops. */
function ranked(data, host, cells) {
  const graph = new dagre.graphlib.Graph({ compound: data.loops.length > 0, multigraph: false });
  graph.setGraph({
    rankdir: "TB", ranksep: GAP.rank, nodesep: GAP.node,
    ranker: data.nodes.length > MANY ? "longest-path" : "network-simplex",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const [own, beside] of cells) graph.setNode(String(own), sizeOf(beside));
  data.loops.forEach((_, at) => graph.setNode("loop" + at, {}));
  for (const own of cells.keys()) {
    if (data.nodes[own].loop !== null) graph.setParent(String(own), "loop" + data.nodes[own].loop);
  }
  for (const [source, reader] of data.edges) {
    if (host[source] !== host[reader]) graph.setEdge(String(host[source]), String(host[reader]));
  }
  dagre.layout(graph);
  return graph;
}

/** Return where columns begin: heights at which no loop and no cell is cut, [0] for one column. */
function cut(graph) {
  const boxes = graph.nodes().map((name) => graph.node(name)).filter((box) => box.width && box.height);
  const { width = 0, height = 0 } = graph.graph();
  if (height < 2400 || height < 3 * width) return [0];
  const spans = boxes.map((box) => [box.y - box.height / 2, box.y + box.height / 2]).sort((a, b) => a[0] - b[0]);
  const free = [];
  let end = -Infinity;
  for (const [from, to] of spans) {
    if (from > end) free.push(from);
    end = Math.max(end, to);
  }
  const widest = Math.max(...boxes.map((box) => box.width)) + GAP.column;
  const wanted = Math.max(1400, Math.sqrt((height * widest) / 1.7));
  const begins = [0];
  for (const at of free) if (at - begins[begins.length - 1] >= wanted) begins.push(at - GAP.rank / 2);
  return begins;
}

function placed(data, host, cells, graph, begins) {
  const columnOf = (y) => begins.findLastIndex((begin) => y >= begin);
  const extent = begins.map(() => [Infinity, -Infinity, 0]);
  for (const name of graph.nodes()) {
    const box = graph.node(name);
    if (!box.width) continue;
    const own = extent[columnOf(box.y)];
    own[0] = Math.min(own[0], box.x - box.width / 2);
    own[1] = Math.max(own[1], box.x + box.width / 2);
    own[2] = Math.max(own[2], box.y + box.height / 2);
  }
  let right = 0;
  const shift = extent.map(([low, high], at) => {
    const by = { x: right - low + 20, y: 30 - begins[at] };
    right += high - low + GAP.column;
    return by;
  });
  const moved = (point, column) => ({ x: point.x + shift[column].x, y: point.y + shift[column].y });
  const boxes = data.nodes.map(() => null);
  for (const [own, beside] of cells) {
    const cell = graph.node(String(own));
    const column = columnOf(cell.y);
    const at = moved(cell, column);
    const left = at.x - cell.width / 2;
    boxes[own] = { x: left, y: at.y - BOX.height / 2, ...BOX, column, pill: false };
    const stack = beside.length * (PILL.height + PILL.gap) - PILL.gap;
    beside.forEach((each, row) => {
      boxes[each] = {
        x: left + BOX.width + PILL.beside, y: at.y - stack / 2 + row * (PILL.height + PILL.gap),
        width: PILL.width, height: PILL.height, column, pill: true,
      };
    });
  }
  const loops = data.loops.map((_, at) => {
    const box = graph.node("loop" + at);
    if (!box.width) return null;
    const corner = moved({ x: box.x - box.width / 2, y: box.y - box.height / 2 }, columnOf(box.y));
    return { ...corner, width: box.width, height: box.height };
  });
  const bottom = extent.map(([, , low], at) => low + shift[at].y);
  const side = extent.map(([low], at) => low + shift[at].x - GAP.column / 2 + 8);
  const edges = data.edges.map(([source, reader]) => {
    if (boxes[source].pill) return beside(boxes[source], boxes[reader]);
    const between = graph.edge(String(host[source]), String(host[reader]));
    return along(boxes[source], boxes[reader], between, moved, { bottom, side }, source === reader);
  });
  return { boxes, loops, edges, width: right, height: Math.max(...bottom, 0) + 30 };
}

/** Return the short way from what stands beside a box. */
function beside(pill, box) {
  return { path: `M${pill.x} ${pill.y + pill.height / 2}L${box.x + box.width} ${box.y + box.height / 2}`, far: false };
}

/** Return the way of an edge: through dagre's points, or from the end of a column to the head of another. */
function along(from, to, edge, moved, columns, self) {
  const start = { x: from.x + from.width / 2, y: from.y + from.height };
  const end = { x: to.x + to.width / 2, y: to.y };
  if (self || (from.column === to.column && end.y <= start.y)) return { path: around(from, to), far: false };
  if (from.column !== to.column) {
    const low = columns.bottom[from.column] + 18;
    const side = columns.side[to.column];
    return {
      path: `M${start.x} ${start.y}C${start.x} ${start.y + 20} ${start.x} ${low} ${start.x + 12} ${low}L${side - 10} ${low}Q${side} ${low} ${side} ${low - 10}L${side} 18Q${side} 8 ${side + 10} 8L${end.x - 10} 8Q${end.x} 8 ${end.x} 18L${end.x} ${end.y}`,
      far: true,
    };
  }
  // Between neighbouring ranks dagre bends at the middle of cells, which is not that of their boxes.
  const bends = (edge?.points ?? []).slice(1, -1);
  const inner = bends.length > 1 ? bends.map((point) => moved(point, from.column)) : [];
  return { path: smooth([start, ...inner, end]), far: false };
}

/** Return the way back to a box that is not below: around the right sides of both. */
function around(from, to) {
  const one = from.x + from.width, other = to.x + to.width, far = Math.max(one, other) + 44;
  const [start, end] = [from.y + from.height * 0.7, to.y + to.height * 0.3];
  return `M${one} ${start}C${far} ${start} ${far} ${end} ${other} ${end}`;
}

/** Return a curve that begins and ends in points and bends at those between. */
function smooth(points) {
  let path = `M${points[0].x} ${points[0].y}`;
  for (let at = 1; at < points.length - 1; at++) {
    const next = at === points.length - 2 ? points[at + 1] : middle(points[at], points[at + 1]);
    path += `Q${points[at].x} ${points[at].y} ${next.x} ${next.y}`;
  }
  if (points.length === 2) {
    const [a, b] = points;
    const half = (a.y + b.y) / 2;
    path += `C${a.x} ${half} ${b.x} ${half} ${b.x} ${b.y}`;
  }
  return path;
}

function middle(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
