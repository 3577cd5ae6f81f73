// What time it is for this installation. A deployment has the browser's time; the local stack has a clock that can be moved.

const HOUR = 60 * 60;
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

// Milliseconds by which the installation is ahead of the browser.
let ahead = 0;

// The time now, in milliseconds since 1970.
export function now() {
  return Date.now() + ahead;
}

// On the local stack, shows `element` with a clock that can be moved; elsewhere it stays hidden.
export async function showClock(element) {
  if (!LOOPBACK.includes(location.hostname)) {
    return;
  }
  const answer = await fetch("/_local/clock", { headers: { accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) {
    return;
  }
  const time = document.createElement("time");
  const happened = document.createElement("p");
  happened.setAttribute("role", "status");
  const line = document.createElement("p");
  line.append(time, ...[1, 30].map((days) => button(days, () => move(days, line, happened))));
  element.append(line, happened);
  element.classList.add("panel");
  set(await answer.json());
  show(time);
  setInterval(() => show(time), 1000);
  element.hidden = false;
}

function show(time) {
  time.dateTime = new Date(now()).toISOString();
  time.textContent = new Date(now()).toUTCString().replace(" GMT", " UTC");
}

function button(days, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = days === 1 ? "+1 day" : `+${days} days`;
  button.addEventListener("click", act);
  return button;
}

function set(clock) {
  ahead = Date.parse(clock.now) - Date.now();
}

// Moves the clock by this number of seconds; returns the results of the scheduled runs that were due.
async function advance(seconds) {
  const answer = await fetch("/_local/clock", { method: "POST", body: JSON.stringify({ advance_seconds: seconds }) });
  const report = await answer.json();
  if (!answer.ok) {
    throw new Error(report.error);
  }
  set(report);
  return Object.entries(report.schedules);
}

// Moves the clock, says what was due meanwhile, and shows the view as it is now. The last hour is a step of its own, in
// which work that a run has put off for minutes is done, such as a mail that waits for a receipt.
async function move(days, line, happened) {
  const buttons = line.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  happened.textContent = "Moving the clock …";
  try {
    const done = [...(await advance((24 * days - 1) * HOUR)), ...(await advance(HOUR))];
    show(line.querySelector("time"));
    happened.textContent = summary(done);
    dispatchEvent(new Event("hashchange"));
  } catch (error) {
    happened.textContent = error.message;
  }
  buttons.forEach((button) => (button.disabled = false));
}

// Returns what the scheduled runs have done, as text: `Purge run: claimed 2, finished 2. Mail send: sent 3.`
function summary(schedules) {
  const said = schedules.map(([schedule, result]) => [name(schedule), counts(result)]);
  const lines = said.filter(([, text]) => text).map(([schedule, text]) => `${schedule}: ${text}.`);
  return lines.join(" ") || "Nothing was due.";
}

function name(schedule) {
  const words = schedule.replace(/Function.*$/, "").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function counts(result) {
  if (result?.errorMessage) {
    return `failed, ${result.errorMessage}`;
  }
  const numbers = Object.entries(result ?? {}).filter(([, value]) => typeof value === "number" && value > 0);
  return numbers.map(([field, value]) => `${field.replaceAll("_", " ")} ${value}`).join(", ");
}
