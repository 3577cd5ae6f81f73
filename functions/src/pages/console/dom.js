// Builds what views show. All text becomes text nodes, so nothing that anybody has typed is ever markup.

import { formatDistance } from "./timeline.js";
import { now } from "./clock.js";

const FORMAT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

// Returns an element; attributes that begin with "on" are listeners, and children that are false or null are left out.
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), value);
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function panel(title, ...children) {
  return h("section", { class: "panel" }, h("h2", {}, title), ...children);
}

// A badge; its look only repeats what it says.
export function badge(text, look = "plain") {
  return h("span", { class: `badge ${look}` }, text);
}

// A time, and how far it is from now.
export function time(tm) {
  return tm ? h("time", { datetime: tm, title: tm }, FORMAT.format(new Date(tm))) : "–";
}

export function dueTime(tm) {
  return tm ? h("span", {}, time(tm), " ", h("span", { class: "quiet-text" }, `(${formatDistance(tm, now())})`)) : "–";
}

// Names and values; those without a value are left out.
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return h("dl", {}, given.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

// Returns a table of {label, of, number} columns. On a narrow screen it is styled as cards; the roles keep it a table
// for screen readers.
export function table(caption, columns, rows, empty = "None.") {
  if (rows.length === 0) {
    return h("p", { class: "quiet-text" }, empty);
  }
  const look = (column) => (column.number ? { class: "number" } : {});
  const head = columns.map((column) => h("th", { scope: "col", role: "columnheader", ...look(column) }, column.label));
  const cell = (row) => (column) =>
    h("td", { role: "cell", "data-label": column.label, ...look(column) }, h("span", {}, column.of(row)));
  return h(
    "table",
    { role: "table" },
    h("caption", {}, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, columns.map(cell(row))))),
  );
}

// JSON as names and values.
export function tree(value) {
  if (Array.isArray(value)) {
    return value.length ? h("ul", {}, value.map((item) => h("li", {}, tree(item)))) : "none";
  }
  if (value !== null && typeof value === "object") {
    return h("dl", {}, Object.entries(value).map(([name, item]) => [h("dt", {}, name), h("dd", {}, tree(item))]));
  }
  return value === null ? "–" : String(value);
}

// Snake case as words.
export function words(name) {
  const text = String(name).replaceAll("_", " ").replace("accesskey", "access key");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// Who did something: a role, and the end of an id.
export function actor(by) {
  if (!by) {
    return "–";
  }
  const who = by.role === "system" ? by.type : by.role;
  return h("span", { title: by.id ?? "" }, words(who), by.id ? [" ", h("code", {}, `…${by.id.slice(-8)}`)] : null);
}

export function problem(error) {
  return h("p", { class: "problem" }, error.message);
}

export function link(id, text) {
  return h("a", { href: `#/accounts/${id}` }, text || id);
}

// Shows a message for 8 seconds, and has screen readers say it.
let silence = 0;
export function announce(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => (status.textContent = ""), 8_000);
}

// Replaces what an element contains. The focus stays on what has the same text, or else in the element.
export function replace(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  element.replaceChildren(...children.filter(Boolean));
  if (focused && !focused.isConnected) {
    const same = [...element.querySelectorAll(focused.tagName)].find((one) => one.textContent === focused.textContent);
    (same ?? element.querySelector("h1, button, a"))?.focus();
  }
}
