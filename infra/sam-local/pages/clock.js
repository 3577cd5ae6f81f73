"use strict";

// Shows the stack's time, and moves it.

const HOUR = 60 * 60;
const time = document.querySelector("time");
const buttons = document.querySelectorAll("button");
const happened = document.querySelector("[role=status]");

/** The id of a function's schedule in words: `SendMailFunctionNightly` is `Send mail`. */
function words(id) {
  const spaced = id.replace(/Function.*$/, "").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** What a scheduled function says of its run: the numbers that are not zero, or how it failed. */
function summary(result) {
  if (result?.errorMessage) return `failed: ${result.errorMessage}`;
  const counts = Object.entries(result ?? {}).filter(([, value]) => typeof value === "number" && value > 0);
  return counts.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
}

function show(report) {
  time.dateTime = report.now;
  time.textContent = new Date(report.now).toUTCString();
}

function tell(reports) {
  const results = reports.flatMap((report) => Object.entries(report.schedules));
  const lines = results.map(([id, result]) => [words(id), summary(result)]);
  const list = document.createElement("ul");
  for (const [name, text] of lines.filter(([, text]) => text)) {
    list.append(Object.assign(document.createElement("li"), { textContent: `${name}: ${text}` }));
  }
  happened.replaceChildren(list.children.length ? list : "Nothing was due.");
}

async function advance(seconds) {
  const answer = await fetch("/_local/clock", { method: "POST", body: JSON.stringify({ advance_seconds: seconds }) });
  const report = await answer.json();
  if (!answer.ok) throw new Error(report.error);
  show(report);
  return report;
}

/** Moves the clock, the last hour by itself: what a run has put off for minutes is done then. */
async function move(days) {
  buttons.forEach((button) => { button.disabled = true; });
  happened.textContent = "…";
  try {
    tell([await advance((24 * days - 1) * HOUR), await advance(HOUR)]);
  } catch (error) {
    happened.textContent = error.message;
  }
  buttons.forEach((button) => { button.disabled = false; });
}

buttons.forEach((button) => button.addEventListener("click", () => move(Number(button.dataset.days))));
fetch("/_local/clock", { headers: { accept: "application/json" } }).then((answer) => answer.json()).then(show);
