// Draws what has happened and what will happen when: marks on a line, and the same as a list in text. Styles are in
// timeline.css. All text is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const DAY = 24 * 60 * 60 * 1000;
const HEIGHT = 40;
const LANE = 26;
// Minimum distance of marks on one line, as a fraction of the width; a nearer one is drawn below.
const NEAR = 0.085;
// Room at both ends, as a fraction of the width, so that no mark is cut off.
const MARGIN = 0.05;

const PARTS = { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const FORMAT = new Intl.DateTimeFormat("en-GB", PARTS);
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

// Replaces what `element` contains by the drawing. `now` and `tm` are Dates, milliseconds since 1970 or RFC 3339 texts; entries
// are sorted here. `kind` is one of "past", "notice", "due" and "end", or any other word; it becomes the class `timeline-<kind>`.
export function drawTimeline(element, { now, entries }) {
  const current = new Date(now).getTime();
  const marks = entries
    .map(({ tm, kind, text }) => ({ time: new Date(tm).getTime(), kind, text }))
    .filter(({ time }) => !Number.isNaN(time))
    .sort((one, other) => one.time - other.time);
  element.classList.add("timeline");
  if (marks.length === 0) {
    element.replaceChildren(html("p", {}, "Nothing is scheduled."));
    return;
  }
  element.replaceChildren(drawing(current, marks), list(current, marks));
}

// A date with its time, in the reader's time zone.
export function formatTime(tm) {
  return FORMAT.format(new Date(tm));
}

// How far a time is from `now`: "in 23 days", "tomorrow", "2 hours ago".
export function formatDistance(tm, now) {
  const distance = new Date(tm).getTime() - new Date(now).getTime();
  if (Math.abs(distance) < 60_000) {
    return "now";
  }
  const units = [["day", DAY], ["hour", DAY / 24], ["minute", 60_000]];
  const [unit, length] = units.find(([, length]) => Math.abs(distance) >= length);
  return RELATIVE.format(Math.round(distance / length), unit);
}

function drawing(now, marks) {
  const from = Math.min(now, marks[0].time);
  const until = Math.max(now, marks.at(-1).time, from + DAY);
  const place = (time) => MARGIN + ((1 - 2 * MARGIN) * (time - from)) / (until - from);
  const lanes = arrange(marks, place);
  const svg = draw("svg", {
    class: "timeline-drawing",
    role: "img",
    "aria-label": "The dates of the list below, on a line",
    width: "100%",
    height: HEIGHT + LANE * (1 + Math.max(...lanes)),
  });
  const level = { y1: HEIGHT, y2: HEIGHT };
  svg.append(
    draw("line", { class: "timeline-ahead", x1: percent(place(now)), x2: percent(1 - MARGIN), ...level }),
    draw("line", { class: "timeline-behind", x1: percent(MARGIN), x2: percent(place(now)), ...level }),
    draw("line", { class: "timeline-now", x1: percent(place(now)), x2: percent(place(now)), y1: HEIGHT - 14, y2: HEIGHT + 14 }),
    draw("text", { class: "timeline-today", x: percent(place(now)), y: HEIGHT - 20, "text-anchor": anchor(place(now)) }, "Today"),
  );
  marks.forEach((mark, index) => svg.append(...markOf(mark, index, place(mark.time), lanes[index], now)));
  return svg;
}

// The lane of each mark: the first one in which it is not near the mark before it.
function arrange(marks, place) {
  const ends = [];
  return marks.map(({ time }) => {
    const at = place(time);
    const free = ends.findIndex((end) => at - end >= NEAR);
    const lane = free === -1 ? ends.length : free;
    ends[lane] = at;
    return lane;
  });
}

function markOf({ time, kind }, index, at, lane, now) {
  const y = HEIGHT + lane * LANE;
  const state = time <= now ? "timeline-done" : "timeline-open";
  const group = { class: `timeline-mark ${state} ${className(kind)}` };
  const mark = draw("g", group);
  mark.append(
    draw("circle", { cx: percent(at), cy: y, r: 11 }),
    draw("text", { x: percent(at), y: y + 5, "text-anchor": "middle" }, String(index + 1)),
  );
  const stem = draw("line", { class: "timeline-stem", x1: percent(at), x2: percent(at), y1: HEIGHT, y2: y });
  return lane > 0 ? [stem, mark] : [mark];
}

function list(now, marks) {
  const ordered = html("ol", { class: "timeline-list" });
  for (const { time, kind, text } of marks) {
    const moment = html("time", { datetime: new Date(time).toISOString() }, formatTime(time));
    const distance = html("span", { class: "timeline-distance" }, ` (${formatDistance(time, now)})`);
    const row = html("li", { class: className(kind) });
    row.append(moment, distance, html("br"), html("span", {}, text));
    ordered.append(row);
  }
  return ordered;
}

function className(kind) {
  return `timeline-${String(kind).replace(/[^a-z]/g, "")}`;
}

function anchor(at) {
  if (at < 0.15) {
    return "start";
  }
  return at > 0.85 ? "end" : "middle";
}

function percent(part) {
  return `${(100 * part).toFixed(2)}%`;
}

function draw(name, attributes, text) {
  return made(document.createElementNS(SVG, name), attributes, text);
}

function html(name, attributes = {}, text) {
  return made(document.createElement(name), attributes, text);
}

function made(element, attributes, text) {
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}
