// The account page: signs in, shows what an account owns and what its deletion would do, unregisters or recovers the
// account, and follows an erasure by its ticket. All of it through the API, with the rights of whoever signs in.
// Session and ticket are kept in this page's memory and nowhere else; all text is set as text, never as markup.

import { verifyReceipt, verifyReceipts } from "/account/receipt.js";
import { drawTimeline, formatTime } from "/account/timeline.js";

const DAY = 24 * 60 * 60 * 1000;
const POLL = 3_000;
const POLLS = 40;
const STAGES = {
  none: "No deletion was requested.",
  scheduled: "The deletion is scheduled. Until it is due, the account can be kept.",
  withdrawn: "The deletion was withdrawn: the account was kept.",
  held: "The deletion is scheduled.",
  due: "The deletion is due, and begins within minutes.",
  running: "The account is deleted. What it owns is being purged.",
  awaiting: "Everything here is deleted. Other systems have yet to confirm that they have deleted, too.",
  incomplete: "Everything here is deleted. Another system has not confirmed in time that it has deleted, too.",
  finished: "The deletion is complete.",
};
const FINAL = ["none", "scheduled", "withdrawn", "held", "finished"];

const main = document.querySelector("main");
const graceDays = Number(main.dataset.graceDays);
const backupDays = Number(main.dataset.backupDays);
const reminderDays = main.dataset.reminderDays.split(" ").map(Number);
const byId = (id) => document.getElementById(id);

let session = "";
let ticket = "";
let polls = 0;
let timer = 0;

// ------------------------------------------------------------------ the API

// Calls the API. Returns the answer's status, its body, its ticket if it has one, and its error; null for none.
async function call(method, path, body) {
  const headers = session ? { authorization: `Bearer ${session}` } : {};
  const options = { method, headers, credentials: "omit", cache: "no-store" };
  if (body) {
    headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    return { status: 0, body: {}, ticket: "", error: { message: "The service cannot be reached. Check your connection, and try again." } };
  }
  const content = await answer.json().catch(() => ({}));
  const link = /<\/v1\.0\/erasures\/(vbt_\w+)>/.exec(answer.headers.get("link") ?? "");
  const busy = { message: "The service is busy. Try again in a moment." };
  return { status: answer.status, body: content, ticket: link?.[1] ?? "", error: answer.ok ? null : content.error ?? busy };
}

// ------------------------------------------------------------------ the page

// Shows one view, with the focus on its heading.
function show(name) {
  clearTimeout(timer);
  for (const view of document.querySelectorAll("[data-view]")) {
    view.hidden = view.dataset.view !== name;
  }
  const heading = document.querySelector(`[data-view="${name}"] h1`);
  document.title = heading.textContent;
  heading.focus();
  scrollTo(0, 0);
}

function made(name, text, className) {
  const element = document.createElement(name);
  element.textContent = text;
  if (className) {
    element.className = className;
  }
  return element;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function say(form, error) {
  const [, named, rest] = /^(\w+): (.*)$/s.exec(error.message) ?? [null, null, error.message];
  const wrongPassword = error.reason === "INVALID_PASSWORD" ? "password" : named;
  const field = [...form.elements].find((one) => one.name === wrongPassword && !one.closest("[hidden]"));
  form.querySelector(".problem").textContent = sentence(field ? rest : error.message);
  field?.setAttribute("aria-invalid", "true");
  field?.focus();
}

function clear(form) {
  form.querySelector(".problem")?.replaceChildren();
  form.querySelector(".answer")?.replaceChildren();
  for (const field of form.elements) {
    field.removeAttribute("aria-invalid");
  }
}

// Lets a form call `act` when it is submitted; while that runs, further submissions are ignored.
function on(id, act) {
  const form = byId(id);
  let isBusy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy) {
      return;
    }
    clear(form);
    const empty = [...form.elements].find((field) => field.required && !field.value && !field.closest("[hidden]"));
    if (empty) {
      say(form, { message: `${empty.name}: ${empty.labels[0].textContent} is missing.` });
      return;
    }
    const button = form.querySelector("button");
    isBusy = true;
    button.setAttribute("aria-disabled", "true");
    await act(form);
    isBusy = false;
    button.removeAttribute("aria-disabled");
  });
}

// ------------------------------------------------------------------ signing in and out

on("login", async (form) => {
  const { body, error } = await call("POST", "/auth/login", { username: form.username.value, password: form.password.value });
  form.password.value = "";
  if (error) {
    say(form, error);
    return;
  }
  session = body.token;
  form.reset();
  await showAccount();
});

on("forgot", async (form) => {
  const { error } = await call("POST", "/auth/password-forgot", { username: form.username.value });
  if (error) {
    say(form, error);
    return;
  }
  form.querySelector(".answer").textContent = "If the user name has an address, a link is on its way.";
});

on("logout", () => signOut("You are signed out."));

async function signOut(notice) {
  if (session) {
    await call("POST", "/auth/logout", {});
  }
  forget(notice);
}

// Shows the form that signs in, with a notice, and removes everything of the session from the page.
function forget(notice) {
  session = "";
  ticket = "";
  for (const form of document.forms) {
    form.reset();
    clear(form);
  }
  for (const id of ["state", "facts", "schedule", "stage", "progress", "participants", "receipts"]) {
    byId(id).replaceChildren();
  }
  byId("ticket-box").hidden = true;
  for (const shown of document.querySelectorAll(".ticket")) {
    shown.textContent = "";
  }
  byId("notice").textContent = notice;
  show("sign-in");
}

// Whoever leaves the page is signed out.
addEventListener("pagehide", () => {
  if (session) {
    const headers = { authorization: `Bearer ${session}`, "content-type": "application/json" };
    fetch("/auth/logout", { method: "POST", headers, body: "{}", keepalive: true, credentials: "omit" }).catch(() => {});
    forget("You were signed out when you left the page.");
  }
});

// ------------------------------------------------------------------ the account

// Asks for everything before it shows anything, so that a reader never sees half of it.
async function showAccount() {
  const asked = session;
  const { status, body, error } = await call("GET", "/v1.0/customer");
  const counts = error ? [] : await owned();
  if (session !== asked) {
    // Signed out meanwhile.
    return;
  }
  if (status === 401) {
    forget("Your session has ended.");
    return;
  }
  const frozen = error?.reason === "ACCOUNT_FROZEN" ? error.details[0] : null;
  const suspended = error?.reason === "ACCOUNT_SUSPENDED";
  byId("state").textContent = stateOf(body, error, frozen);
  byId("what").hidden = Boolean(error);
  byId("scheduled").hidden = !frozen;
  byId("stay").hidden = !frozen?.recovery_endpoint;
  byId("leaving").hidden = Boolean(error) && !frozen?.recovery_endpoint && !suspended;
  byId("with-grace").hidden = Boolean(frozen);
  byId("at-once").hidden = suspended;
  byId("leave").elements.when.value = frozen ? "now" : "grace";
  chooseWhen();
  if (frozen) {
    drawTimeline(byId("schedule"), { now: new Date(), entries: schedule(frozen.deletion_scheduled_at, frozen.deletion_effective_at) });
  }
  byId("facts").replaceChildren(...(error ? [] : facts(body, counts)));
  show("account");
}

function stateOf(customer, error, frozen) {
  if (frozen) {
    return frozen.recovery_endpoint
      ? `Your account is frozen, and will be deleted on ${formatTime(frozen.deletion_effective_at)}.`
      : error.message;
  }
  if (error) {
    return sentence(error.message);
  }
  return customer.email && !customer.email_verified ? "Your account is active. Its e-mail address is not verified, so it gets no mail." : "Your account is active.";
}

function facts(customer, counts) {
  const rows = [
    ["Name", customer.name],
    ["Description", customer.detail],
    ["E-mail address", customer.email],
    ["Phone number", customer.phone_number],
    ["Postal address", customer.address],
    ["Created", formatTime(customer.tm_create)],
    ["Account id", customer.id],
    ...counts,
  ];
  return rows.filter(([, value]) => value).flatMap(([name, value]) => [made("dt", name), made("dd", value)]);
}

// How much the account owns of each kind, as far as the caller may see it.
async function owned() {
  const kinds = main.dataset.kinds.split(" ");
  const lists = await Promise.all(kinds.map((kind) => call("GET", `/v1.0/${kind}?page_size=100`)));
  return kinds.flatMap((kind, index) => {
    const { body, error } = lists[index];
    const count = body.result?.length ?? 0;
    if (error || count === 0) {
      return [];
    }
    const name = kind === "accesskeys" ? "Access keys" : sentence(kind.replaceAll("_", " "));
    return [[name, body.next_page_token ? `more than ${count}` : String(count)]];
  });
}

// ------------------------------------------------------------------ leaving and staying

// Returns the timeline of an account that was or would be frozen at `from` and deleted at `due`.
function schedule(from, due) {
  const [begin, end] = [new Date(from).getTime(), new Date(due).getTime()];
  const reminders = reminderDays.map((days) => {
    const left = days === 1 ? "one day is" : `${days} days are`;
    return { tm: end - days * DAY, kind: "notice", text: `If your address is verified, a mail reminds you that ${left} left.` };
  });
  return [
    { tm: begin, kind: "past", text: "The account is frozen. Nothing in it can be used or changed, and nothing is deleted." },
    ...reminders.filter(({ tm }) => tm > begin),
    { tm: end, kind: "due", text: "The deletion begins. Until then you can keep the account." },
    { tm: end + backupDays * DAY, kind: "end", text: "The last backup with something of the account ends." },
  ];
}

function deletedNow(now) {
  return [
    { tm: now, kind: "due", text: "The account is deleted, and what it owns is purged." },
    { tm: now + backupDays * DAY, kind: "end", text: "The last backup with something of the account ends." },
  ];
}

function chooseWhen() {
  const now = Date.now();
  const isNow = byId("leave").elements.when.value === "now";
  byId("phrase-field").hidden = !isNow;
  byId("phrase").required = isNow;
  drawTimeline(byId("preview"), { now, entries: isNow ? deletedNow(now) : schedule(now, now + graceDays * DAY) });
}

byId("leave").addEventListener("change", chooseWhen);

on("leave", async (form) => {
  const isNow = form.elements.when.value === "now";
  const body = { password: form.elements.password.value };
  if (isNow) {
    Object.assign(body, { confirmation_phrase: form.elements.confirmation_phrase.value, immediate: true });
  }
  const left = await call("POST", "/auth/unregister", body);
  form.elements.password.value = "";
  if (left.error) {
    say(form, left.error);
    return;
  }
  form.reset();
  keep(left.ticket);
  if (isNow) {
    session = "";
    const error = await follow();
    if (error) {
      // The account is gone all the same, and its ticket is shown nowhere else.
      show("erasure");
      say(byId("again"), error);
    }
  } else {
    byId("ticket-box").hidden = false;
    await showAccount();
  }
});

on("stay", async (form) => {
  const { error } = await call("DELETE", "/auth/unregister");
  if (error) {
    say(form, error);
    return;
  }
  byId("ticket-box").hidden = true;
  await showAccount();
});

function keep(given) {
  ticket = given;
  for (const shown of document.querySelectorAll(".ticket")) {
    shown.textContent = given;
  }
}

// ------------------------------------------------------------------ following an erasure

on("follow", async (form) => {
  keep(form.ticket.value.trim());
  const error = await follow();
  if (error) {
    say(form, error);
  }
});

on("again", async (form) => {
  const error = await follow();
  if (error) {
    say(form, error);
  }
});

on("back", () => signOut(""));

on("check", async (form) => {
  const keys = await call("GET", "/v1.0/erasure-keys");
  if (keys.error) {
    say(form, keys.error);
    return;
  }
  const result = await verifyReceipt(form.jws.value.trim(), keys.body);
  form.querySelector(".answer").replaceChildren(...resultOf(result));
});

// Shows the erasure that the ticket is of, and polls it until it is complete. Returns the error; null for none.
async function follow() {
  clearTimeout(timer);
  polls = 0;
  const error = await look();
  if (!error) {
    show("erasure");
    lookLater();
  }
  return error;
}

let stage = "";

async function look() {
  const followed = ticket;
  const { body, error } = await call("GET", `/v1.0/erasures/${encodeURIComponent(ticket)}`);
  const keys = await call("GET", "/v1.0/erasure-keys");
  if (error || keys.error) {
    return error ?? keys.error;
  }
  const results = await verifyReceipts(body.receipts, keys.body);
  if (ticket !== followed) {
    return { message: "This erasure is no longer followed." };
  }
  stage = body.stage;
  byId("stage").textContent = STAGES[stage] ?? stage;
  const backups = results.at(-1)?.claims?.not_covered?.backups_until;
  drawTimeline(byId("progress"), { now: new Date(), entries: progress(body, backups) });
  byId("others").hidden = body.participants.length === 0;
  byId("participants").replaceChildren(...body.participants.map(({ name, state }) => made("li", `${name}: ${(state ?? "not asked yet").replaceAll("_", " ")}`)));
  byId("proofs").hidden = body.receipts.length === 0;
  byId("receipts").replaceChildren(...results.map((result, index) => receipt(result, index, body.receipts)));
  return null;
}

function lookLater() {
  polls += 1;
  if (!FINAL.includes(stage) && polls < POLLS) {
    timer = setTimeout(async () => {
      if (!(await look())) {
        lookLater();
      }
    }, POLL);
  }
}

function progress(erasure, backups) {
  const entries = [
    { tm: erasure.tm_request, kind: "past", text: "The deletion was requested." },
    { tm: erasure.tm_withdraw, kind: "past", text: "The deletion was withdrawn." },
    { tm: erasure.tm_claim, kind: "past", text: "The purge began." },
    { tm: erasure.tm_finish, kind: "past", text: "Everything that the account owned was purged." },
    { tm: erasure.tm_complete, kind: "past", text: "The last system that was asked had confirmed." },
    { tm: backups, kind: "end", text: "The last backup with something of the account ends." },
  ];
  if (!erasure.tm_withdraw && !erasure.tm_claim) {
    entries.push({ tm: erasure.tm_due, kind: "due", text: "The deletion begins." });
  }
  return entries.filter(({ tm }) => tm);
}

// ------------------------------------------------------------------ receipts

function receipt(result, index, all) {
  const part = document.createElement("article");
  part.className = "receipt";
  const save = made("button", "Save the receipt", "quiet");
  save.type = "button";
  save.addEventListener("click", () => download(all[index], `receipt-${index + 1}.jws`));
  const text = document.createElement("details");
  text.append(made("summary", "The signed text"), made("code", all[index], "jws"));
  part.append(made("h3", `Receipt ${index + 1} of ${all.length}`), ...resultOf(result), text, save);
  return part;
}

function resultOf({ valid, reason, claims }) {
  const verdict = valid ? "Genuine: signed by this service, and unchanged since." : `Not genuine: ${reason}.`;
  const paragraph = made("p", verdict, valid ? "verdict valid" : "verdict invalid");
  return valid ? [paragraph, statement(claims)] : [paragraph];
}

// What a receipt states, in words.
function statement(claims) {
  const counts = Object.entries(claims.counts ?? {}).filter(([, count]) => count > 0);
  const rows = [
    ["Account", claims.sub],
    ["Deleted", counts.map(([kind, count]) => `${count} ${kind.replaceAll("_", " ")}`).join(", ")],
    ["Erased fields", (claims.fields_erased ?? []).join(", ")],
    ["Finished", claims.tm_finish && formatTime(claims.tm_finish)],
    ["Other systems", (claims.covers?.participants ?? []).map(({ name, state }) => `${name}: ${state ?? "not asked"}`).join(", ")],
    ["Kept by them", (claims.retained ?? []).map((kept) => `${kept.count} ${kept.kind} (${kept.ground})${kept.until ? ` until ${formatTime(kept.until)}` : ""}`).join(", ")],
    ["Backups end", claims.not_covered?.backups_until && formatTime(claims.not_covered.backups_until)],
    ["Final", claims.final ? "yes" : "no: another receipt follows when other systems have answered"],
  ];
  const list = document.createElement("dl");
  for (const [name, value] of rows) {
    if (value) {
      list.append(made("dt", name), made("dd", value));
    }
  }
  return list;
}

function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jose" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

// ------------------------------------------------------------------ begin

// The link in the last mail has the ticket in its fragment, which no server sees.
function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (!given) {
    return;
  }
  history.replaceState(null, "", location.pathname);
  byId("with-ticket").open = true;
  byId("ticket").value = given;
  byId("follow").requestSubmit();
}

addEventListener("hashchange", begin);
begin();
