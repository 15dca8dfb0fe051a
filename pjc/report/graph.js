"use strict";
// The constraint graph as a picture that zooms, and whose nodes are chosen with the mouse or with keys.

const PILL_LETTERS = 19, BOX_LETTERS = 22;
const READABLE = 0.55; // the scale at which a graph is shown first that does not fit in a larger one

class GraphView {
  /** Draw the graph of the data into `canvas`; `choose(number)` is called for a node that was chosen. */
  constructor(canvas, data, choose) {
    this.canvas = canvas;
    this.data = data;
    this.choose = choose;
    this.layout = laidOut(data);
    this.readers = data.nodes.map(() => []);
    this.sources = data.nodes.map(() => []);
    for (const [source, reader] of data.edges) {
      this.readers[source].push(reader);
      this.sources[reader].push(source);
    }
    this.order = data.nodes.map((_, at) => at).sort((a, b) => this.before(a, b));
    this.draw();
    this.listen();
    this.first();
  }

  before(a, b) {
    const [one, other] = [this.layout.boxes[a], this.layout.boxes[b]];
    return one.column - other.column || one.y - other.y || one.x - other.x;
  }

  draw() {
    const { layout, data } = this;
    this.loops = layout.loops.map((box, at) => box && loopBox(box, data.loops[at]));
    this.edges = data.edges.map((edge, at) => edgeLine(layout.edges[at], edge[2], data, edge));
    this.nodes = data.nodes.map((node, at) => nodeBox(node, layout.boxes[at], data));
    this.scene = drawn("g", {}, ...this.loops.filter(Boolean), ...this.edges, ...this.nodes);
    this.svg = drawn("svg", {
      role: "group", "aria-label": `Constraint graph of ${data.nodes.length} nodes; arrow keys go along edges`,
    }, arrow(), this.scene);
    this.canvas.replaceChildren(this.svg);
    this.at = this.order[0];
    if (this.nodes.length) this.nodes[this.at].setAttribute("tabindex", "0");
  }

  listen() {
    this.nodes.forEach((node, at) => {
      node.addEventListener("click", () => this.dragged || this.choose(at));
      node.addEventListener("focus", () => this.roam(at));
    });
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), event);
    }, { passive: false });
    let from = null;
    this.svg.addEventListener("pointerdown", (event) => {
      this.dragged = false;
      from = { x: event.clientX, y: event.clientY, left: this.x, top: this.y };
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const dx = event.clientX - from.x, dy = event.clientY - from.y;
      if (Math.hypot(dx, dy) > 4) this.dragged = true;
      if (this.dragged) this.move(this.scale, from.left + dx, from.top + dy);
    });
    this.svg.addEventListener("pointerup", () => (from = null));
    window.addEventListener("beforeprint", () => this.whole());
    window.addEventListener("afterprint", () => this.svg.removeAttribute("viewBox") || this.move(this.scale, this.x, this.y));
  }

  /** Let the whole picture be drawn, however large it is, as on paper. */
  whole() {
    this.svg.setAttribute("viewBox", `0 0 ${this.layout.width} ${this.layout.height}`);
    this.scene.removeAttribute("transform");
  }

  move(scale, x, y) {
    [this.scale, this.x, this.y] = [scale, x, y];
    this.scene.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
  }

  zoom(by, event = null) {
    const frame = this.svg.getBoundingClientRect();
    const x = event ? event.clientX - frame.left : frame.width / 2;
    const y = event ? event.clientY - frame.top : frame.height / 2;
    const scale = Math.min(4, Math.max(0.02, this.scale * by));
    const change = scale / this.scale;
    this.move(scale, x - (x - this.x) * change, y - (y - this.y) * change);
  }

  fitting() {
    const frame = this.svg.getBoundingClientRect();
    return Math.min(1.2, frame.width / this.layout.width, frame.height / this.layout.height) || 1;
  }

  fit() {
    const frame = this.svg.getBoundingClientRect();
    const scale = this.fitting();
    this.move(scale, (frame.width - scale * this.layout.width) / 2, Math.max(0, (frame.height - scale * this.layout.height) / 2));
  }

  first() {
    if (this.fitting() >= READABLE) this.fit();
    else this.move(READABLE, Math.max(0, (this.svg.getBoundingClientRect().width - READABLE * this.layout.width) / 2), 0);
    if (this.order.length) this.reveal(this.order[0]);
  }

  /** Bring a node into the frame if it is out of it. */
  reveal(at) {
    const frame = this.svg.getBoundingClientRect();
    const box = this.layout.boxes[at];
    const x = this.x + this.scale * (box.x + box.width / 2), y = this.y + this.scale * (box.y + box.height / 2);
    if (x > 40 && y > 25 && x < frame.width - 40 && y < frame.height - 25) return;
    this.move(this.scale, this.x + frame.width / 2 - x, this.y + frame.height / 2 - y);
  }

  roam(at) {
    this.nodes[this.at].setAttribute("tabindex", "-1");
    this.nodes[at].setAttribute("tabindex", "0");
    this.at = at;
    this.reveal(at);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const beside = (step) => this.order[this.order.indexOf(this.at) + step];
    const go = {
      ArrowUp: () => this.sources[this.at][0], ArrowDown: () => this.readers[this.at][0],
      ArrowLeft: () => beside(-1), ArrowRight: () => beside(1),
      Home: () => this.order[0], End: () => this.order[this.order.length - 1],
    }[event.key];
    const act = {
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), 0: () => this.fit(),
      Enter: () => this.choose(this.at), " ": () => this.choose(this.at), Escape: () => this.choose(null),
    }[event.key];
    if (!go && !act) return;
    event.preventDefault();
    if (act) act();
    else if (go() !== undefined) this.nodes[go()].focus({ preventScroll: true });
  }

  /** Show which nodes are chosen, and their edges. */
  mark(chosen) {
    this.nodes.forEach((node, at) => {
      node.classList.toggle("chosen", chosen.has(at));
      node.setAttribute("aria-pressed", String(chosen.has(at)));
    });
    this.edges.forEach((edge, at) => {
      const [source, reader] = this.data.edges[at];
      edge.classList.toggle("chosen", chosen.has(source) || chosen.has(reader));
    });
  }

  /** Show which nodes a search found; all of them if `hits` is null. */
  search(hits) {
    this.nodes.forEach((node, at) => {
      node.classList.toggle("dim", hits !== null && !hits.has(at));
      node.classList.toggle("hit", hits !== null && hits.has(at));
    });
  }

  /** Color nodes by what `hueOf` says of each: a hue, or null for none. */
  color(hueOf) {
    this.nodes.forEach((node, at) => {
      const hue = hueOf(this.data.nodes[at]);
      node.classList.toggle("plain", hue === null);
      node.style.setProperty("--hue", hue ?? 0);
    });
  }
}

function arrow() {
  return drawn("defs", {}, drawn("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9,
    markerUnits: "userSpaceOnUse", orient: "auto-start-reverse",
  }, drawn("path", { d: "M0 0L8 4L0 8z" })));
}

function loopBox(box, loop) {
  const times = `${plain(loop.label)} × ${loop.count.toLocaleString("en")}`;
  return drawn("g", { class: "loop" },
    drawn("rect", { ...box, rx: 10 }),
    drawn("text", { x: box.x + 10, y: box.y + 16 }, `loop ${shortened(times, 40)}`));
}

function edgeLine(way, views, data, [source, reader]) {
  const said = `${plain(data.nodes[source].label)} → ${plain(data.nodes[reader].label)}`;
  return drawn("path", {
    d: way.path, class: "edge" + (views.length ? " viewed" : "") + (way.far ? " far" : ""), "marker-end": "url(#arrow)",
  }, drawn("title", {}, views.length ? `${said}: ${views.join(", ")}` : said));
}

/** Return what a node says of itself in a line. */
function spoken(node, data) {
  const loop = node.loop === null ? "" : `, ${data.loops[node.loop].count.toLocaleString("en")} of a loop`;
  const part = node.part ? `, part ${node.part}` : "";
  const fused = node.fused.length ? `, with ${node.fused.length} fused` : "";
  return plain(`${node.operator} ${node.label}, ${node.shape}${part}${loop}${fused}`);
}

function nodeBox(node, box, data) {
  const { x, y, width, height } = box;
  const center = x + width / 2, middleLine = y + height / 2;
  const round = node.kind === "constraint" || node.kind === "requirement" ? 4 : height / 2;
  const many = node.family > 1 || node.loop !== null;
  const part = node.part ? `${node.part}: ` : "";
  const size = box.pill ? node.shape.replace(/ f(32|64)$/, "") : `${node.operator} ${node.shape.replace(/ f(32|64)$/, "")}`;
  return drawn("g", {
    class: `node ${node.kind}`, role: "button", tabindex: "-1", "aria-pressed": "false", "aria-label": spoken(node, data),
  },
    drawn("title", {}, spoken(node, data)),
    many ? drawn("rect", { class: "behind", x: x + 5, y: y + 5, width, height, rx: round }) : null,
    node.fused.length ? drawn("rect", { class: "around", x: x - 4, y: y - 4, width: width + 8, height: height + 8, rx: round + 3 }) : null,
    drawn("rect", { class: "box", x, y, width, height, rx: round }),
    drawn("text", { x: center, y: middleLine - 3 }, shortened(node.label, box.pill ? PILL_LETTERS : BOX_LETTERS)),
    drawn("text", { class: "what", x: center, y: middleLine + 12 }, shortened(part + size, box.pill ? 24 : 30)));
}
