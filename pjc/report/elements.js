"use strict";
// What makes elements. All that comes from the data becomes text or an attribute's value, never a tag.

const SVG = "http://www.w3.org/2000/svg";

const LONG = 90; // letters that a cell of a table shows

/** Return an element with attributes and children; texts among them are shown as they are. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an element of SVG, as element() does. */
function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== null));
  return made;
}

/** Return a text with control and formatting characters as escapes, so that none reorders what is beside it. */
function plain(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (each) => "\\u{" + each.codePointAt(0).toString(16) + "}");
}

/** Return the end of a label, which tells more than its beginning, in so many letters. */
function shortened(text, letters) {
  const all = [...plain(text)];
  return all.length <= letters ? all.join("") : "…" + all.slice(1 - letters).join("");
}

/** Return a number of bytes in the unit that reads best. */
function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; count >= 1024 && at < units.length - 1; at++) count /= 1024;
  return (at ? count.toFixed(1) : String(count)) + " " + units[at];
}

/** Return a table of rows; `numbers` names the columns that hold numbers. */
function table(caption, columns, rows, numbers = []) {
  const cell = (tag, value, column) =>
    element(tag, { class: numbers.includes(column) ? "number" : null, scope: tag === "th" ? "col" : null },
      value instanceof Node ? value : element("span", { class: "name", title: String(value).length > LONG ? plain(value) : null }, shortened(value, LONG)));
  return element("table", {},
    element("caption", {}, element("span", { class: "unseen" }, caption)),
    element("thead", {}, element("tr", {}, ...columns.map((name) => cell("th", name, name)))),
    element("tbody", {}, ...rows.map((row) =>
      element("tr", {}, ...row.map((value, at) => cell("td", value, columns[at]))))));
}
