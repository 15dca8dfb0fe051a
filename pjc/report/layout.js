"use strict";
// Where the boxes of the graph are: dagre lays out cells, which hold a box and what it alone reads; a layout
// that is much higher than wide is cut into columns. What is too deep for dagre is laid out in plain rows.

const BOX = { width: 172, height: 44 };
const PILL = { width: 150, height: 34, gap: 5, beside: 14 };
const GAP = { rank: 34, node: 26, column: 90 };
const MOST = 350; // cells from which on dagre is not tried: it is slow, and calls itself for each rank
const SHAPE = 1.7; // width by height of a picture that is cut into columns

/** Return {boxes, loops, edges, width, height} for nodes, edges and loops of the data. */
function laidOut(data) {
  const host = hosts(data);
  const cells = cellsOf(data, host);
  const found = (cells.size <= MOST && tried(() => ranked(data, host, cells))) || rowed(data, host, cells);
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

/** Return a layout, or null where the stack does not suffice for it. */
function tried(layout) {
  try {
    return layout();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Return dagre's layout of the cells: boxes of cells and loops by name, points of edges, and the height. */
function ranked(data, host, cells) {
  const graph = new dagre.graphlib.Graph({ compound: data.loops.length > 0, multigraph: false });
  graph.setGraph({ rankdir: "TB", ranksep: GAP.rank, nodesep: GAP.node });
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
  const bends = graph.edges().flatMap((edge) => graph.edge(edge).points ?? []);
  const boxes = graph.nodes().map((name) => graph.node(name));
  if (!data.loops.length) straighten(boxes, bends);
  return {
    boxes, height: graph.graph().height, node: (name) => graph.node(name), edge: (from, to) => graph.edge(from, to),
  };
}

/** Take the slope out of a long picture: boxes of a row move alike, and straight lines stay so. */
function straighten(boxes, bends) {
  const mean = (of) => boxes.reduce((sum, box) => sum + of(box), 0) / boxes.length;
  const [x, y] = [mean((box) => box.x), mean((box) => box.y)];
  const spread = mean((box) => (box.y - y) ** 2);
  if (Math.sqrt(spread) < 1000) return;
  const slope = mean((box) => (box.x - x) * (box.y - y)) / spread;
  for (const point of [...boxes, ...bends]) point.x -= slope * (point.y - y);
}

/** Return a layout as of ranked(): rows of cells, each behind all that it reads; loops are around their members. */
function rowed(data, host, cells) {
  const reads = new Map([...cells.keys()].map((own) => [own, new Set()]));
  for (const [source, reader] of data.edges) {
    if (host[source] !== host[reader]) reads.get(host[reader]).add(host[source]);
  }
  const rows = [];
  for (const [own, row] of ranks(reads)) (rows[row] ??= []).push(own);
  const places = new Map();
  let top = 0;
  for (const row of rows) {
    const above = new Map(row.map((own) => [own, meanOf([...reads.get(own)].flatMap((each) => places.get(each) ?? []))]));
    row.sort((a, b) => above.get(a) - above.get(b) || a - b);
    const sizes = row.map((own) => sizeOf(cells.get(own)));
    const high = Math.max(...sizes.map((size) => size.height));
    let left = -sizes.reduce((sum, size) => sum + size.width + GAP.node, -GAP.node) / 2;
    row.forEach((own, at) => {
      places.set(own, { ...sizes[at], x: left + sizes[at].width / 2, y: top + high / 2 });
      left += sizes[at].width + GAP.node;
    });
    top += high + GAP.rank;
  }
  const loops = data.loops.map((_, loop) =>
    hull([...places].flatMap(([own, box]) => (data.nodes[own].loop === loop ? [box] : []))));
  return {
    boxes: [...places.values(), ...loops], height: top, edge: () => undefined,
    node: (name) => (name.startsWith("loop") ? loops[Number(name.slice(4))] : places.get(Number(name))),
  };
}

/** Return the row of each cell, behind the rows of all that it reads; a circle is entered at its first cell. */
function ranks(reads) {
  const readers = new Map([...reads.keys()].map((own) => [own, []]));
  for (const [own, sources] of reads) for (const source of sources) readers.get(source).push(own);
  const waiting = new Map([...reads].map(([own, sources]) => [own, sources.size]));
  const ready = [...reads.keys()].filter((own) => waiting.get(own) === 0);
  const all = [...reads.keys()];
  const rank = new Map();
  for (let next = 0, first = 0; rank.size < all.length; ) {
    const own = next < ready.length ? ready[next++] : all[first++];
    if (rank.has(own)) continue;
    rank.set(own, Math.max(0, ...[...reads.get(own)].map((each) => (rank.get(each) ?? -1) + 1)));
    for (const reader of readers.get(own)) {
      waiting.set(reader, waiting.get(reader) - 1);
      if (waiting.get(reader) === 0) ready.push(reader);
    }
  }
  return rank;
}

function meanOf(boxes) {
  return boxes.length ? boxes.reduce((sum, box) => sum + box.x, 0) / boxes.length : 0;
}

function hull(boxes) {
  if (!boxes.length) return { x: 0, y: 0 };
  const far = (side, size, way) => way * Math.max(...boxes.map((box) => way * box[side] + box[size] / 2));
  const [left, right] = [far("x", "width", -1) - 16, far("x", "width", 1) + 16];
  const [top, bottom] = [far("y", "height", -1) - 22, far("y", "height", 1) + 12];
  return { x: (left + right) / 2, y: (top + bottom) / 2, width: right - left, height: bottom - top };
}

/** Return where columns begin: heights at which no loop and no cell is cut, [0] for one column. */
function cut(graph) {
  if (graph.height < 2400) return [0];
  const boxes = graph.boxes.filter((box) => box.width);
  const whole = hull(boxes);
  const spans = boxes.map((box) => [box.y - box.height / 2, box.y + box.height / 2]).sort((a, b) => a[0] - b[0]);
  const free = [];
  let end = -Infinity;
  for (const [from, to] of spans) {
    if (from > end) free.push(from);
    end = Math.max(end, to);
  }
  const wanted = Math.max(1400, Math.sqrt((graph.height * (whole.width + GAP.column)) / SHAPE));
  const begins = [0];
  for (const at of free) if (at - begins[begins.length - 1] >= wanted) begins.push(at - GAP.rank / 2);
  return begins;
}

function placed(data, host, cells, graph, begins) {
  const columnOf = (y) => begins.findLastIndex((begin) => y >= begin);
  const extent = begins.map(() => [Infinity, -Infinity, 0]);
  for (const box of graph.boxes) {
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
  if (!edge && end.y - start.y > BOX.height + 2 * GAP.rank) return { path: past(from, to, columns.side[from.column] + 30), far: false };
  return { path: smooth([start, ...inner, end]), far: false };
}

/** Return the way past the boxes between two: around the left sides of both, if need be to the end of the column. */
function past(from, to, left) {
  const near = Math.min(from.x, to.x), far = near - (near - Math.max(left, near - PILL.width)) * 4 / 3;
  const [start, end] = [from.y + from.height * 0.7, to.y + to.height * 0.3];
  return `M${from.x} ${start}C${far} ${start} ${far} ${end} ${to.x} ${end}`;
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
