"use strict";
// The source and the stages beside one another; lines that belong together light up together.

class Pane {
  /** Show a text. `links` maps a line's number to {place, label}; `choose(link)` is called for a line. */
  constructor(title, about, text, links, choose) {
    this.links = links;
    this.choose = choose;
    this.prefix = "pane" + Pane.count++;
    const lines = text.replace(/\n$/, "").split("\n");
    this.rows = lines.map((line, at) => element("div", {
      class: links.has(at) ? "row linked" : "row", role: "option", "aria-selected": "false",
      id: `${this.prefix}-${at}`, "data-at": at,
    }, line));
    this.inner = element("div", { class: "inner", role: "presentation" }, ...this.rows);
    this.text = element("div", { class: "text", role: "listbox", tabindex: "0", "aria-label": plain(title) }, this.inner);
    this.whole = element("div", { class: "pane", title: about }, element("h3", { class: "name" }, plain(title)), this.text);
    this.text.addEventListener("click", (event) => this.pick(Number(event.target.closest(".row")?.dataset.at ?? -1)));
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.current = -1;
  }

  pick(at) {
    if (at < 0) return;
    this.go(at);
    if (this.links.has(at)) this.choose(this.links.get(at), this);
  }

  go(at) {
    this.rows[this.current]?.classList.remove("current");
    this.current = Math.max(0, Math.min(this.rows.length - 1, at));
    const row = this.rows[this.current];
    row.classList.add("current");
    this.text.setAttribute("aria-activedescendant", row.id);
    this.show(this.current, true);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -1e9, End: 1e9 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) this.go((this.current < 0 && step !== 1 ? 0 : this.current) + step);
    else if (event.key === "Enter" || event.key === " ") this.pick(this.current);
    else return;
    event.preventDefault();
  }

  /** Light up the lines of which `of` says "lit" or "near"; show the first of them. */
  light(of, still) {
    let first = -1;
    this.links.forEach((link, at) => {
      const how = of(link);
      const row = this.rows[at];
      row.classList.toggle("lit", how === "lit");
      row.classList.toggle("near", how === "near");
      row.setAttribute("aria-selected", String(how === "lit"));
      if (how === "lit" && (first < 0 || at < first)) first = at;
    });
    if (first >= 0 && !still) this.show(first, false);
  }

  /** Scroll the text, and nothing else of the page, so that a line is seen. */
  show(at, nearest) {
    const row = this.rows[at], top = row.offsetTop - this.inner.offsetTop, view = this.text;
    const above = top < view.scrollTop, below = top + row.offsetHeight > view.scrollTop + view.clientHeight;
    if (!above && !below) return;
    if (nearest) view.scrollTop = above ? top : top + row.offsetHeight - view.clientHeight;
    else view.scrollTop = Math.max(0, top - view.clientHeight / 3);
  }
}
Pane.count = 0;

/** Return the panes of the data: its sources, then its stages. */
function panesOf(data, choose) {
  const atLine = new Map(data.places.map(([text, line], at) => [`${text}:${line}`, at]));
  const sources = data.texts.map(({ file, text }, number) => {
    const links = new Map();
    text.split("\n").forEach((_, at) => {
      const place = atLine.get(`${number}:${at + 1}`);
      if (place !== undefined) links.set(at, { place, label: -1 });
    });
    return new Pane(file, "the source", text, links, choose);
  });
  const stages = data.stages.map(({ name, leaves, text, lines }) =>
    new Pane(name, leaves, text, new Map(lines.map(([at, place, label]) => [at, { place, label }])), choose));
  return [...sources, ...stages];
}
