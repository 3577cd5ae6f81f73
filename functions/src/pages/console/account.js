// One account on one screen: its state, what will happen to it, what it owns, and what can be done.

import { call, get } from "./api.js";
import { ACTS, ask } from "./acts.js";
import { now } from "./clock.js";
import { actor, announce, badge, facts, h, panel, problem, replace, table, time, words } from "./dom.js";
import { isMoving, progress, receipts, stageBadge } from "./erasure.js";
import { deliveries, repeat, statusBadge } from "./lists.js";
import { drawTimeline } from "./timeline.js";

const DAY = 24 * 60 * 60 * 1_000;
// Kinds that have sections of their own, or no list.
const LISTED_APART = ["agents", "accesskeys", "sessions", "idempotency_keys"];

export async function account(view, isShown, id) {
  const path = `/v1.0/customers/${encodeURIComponent(id)}`;
  const parts = { head: h("div", {}), plan: h("div", {}), erasure: h("div", {}), receipts: h("div", {}), rest: h("div", {}) };
  view.append(parts.head, parts.plan, h("div", { class: "columns" }, parts.erasure, parts.receipts), parts.rest);
  const shown = { path, id, parts, moving: false, receipts: -1 };
  shown.reload = () => load(shown);
  await load(shown);
  repeat(() => shown.moving && follow(shown), 2_000, isShown);
}

async function load(shown) {
  const { path, parts } = shown;
  const [customer, overview] = await Promise.all([get(path), get(`${path}/overview`)]);
  const erasure = overview.stage ? await get(`${path}/erasure`) : null;
  Object.assign(shown, { customer, overview });
  replace(parts.head, ...head(shown, erasure));
  await showErasure(shown, erasure);
  replace(parts.rest, ...(await details(shown)));
}

// Reads the erasure again, and everything else, too, if its stage has changed.
async function follow(shown) {
  const erasure = await get(`${shown.path}/erasure`).catch(() => null);
  if (!erasure) {
    return;
  }
  if (erasure.stage === shown.stage) {
    await showErasure(shown, erasure);
    return;
  }
  announce(`Erasure: ${words(erasure.stage)}`);
  await shown.reload();
}

async function showErasure(shown, erasure) {
  shown.moving = erasure !== null && isMoving(erasure);
  shown.stage = erasure?.stage;
  if (!erasure) {
    return;
  }
  replace(shown.parts.erasure, panel("Erasure", progress(erasure, shown.reload)));
  const signed = erasure.receipts;
  if (signed.length !== shown.receipts) {
    shown.receipts = signed.length;
    replace(shown.parts.receipts, signed.length > 0 && panel("Receipts", await receipts(signed)));
  }
}

function head(shown, erasure) {
  const { customer, overview } = shown;
  const line = h("div", {});
  drawTimeline(line, { now: now(), entries: entries(overview, erasure) });
  return [
    h("h1", { tabindex: "-1" }, customer.name || "Account without a name"),
    h("p", {}, h("code", {}, customer.id)),
    h("ul", { class: "badges" }, badges(overview).map((one) => h("li", {}, one))),
    h("div", { class: "acts" }, buttons(shown)),
    panel("What happens when", line),
  ];
}

function badges(overview) {
  return [
    statusBadge(overview.status),
    overview.stage && overview.stage !== "none" && stageBadge(overview.stage),
    overview.holds.length > 0 && badge(`Held (${overview.holds.length})`, "warning"),
    overview.suspension && badge("Suspended", "bad"),
    overview.frozen_by_operator && badge("Frozen by an operator", "warning"),
    overview.tm_webhook_failing && badge("Webhook failing", "bad"),
    overview.webhook_disabled && badge("Webhook disabled", "bad"),
    overview.mail.undeliverable && badge(`Mail ${overview.mail.undeliverable.reason}`, "bad"),
  ].filter(Boolean);
}

// Returns the buttons for what the account's status allows; the API decides in any case.
function buttons(shown) {
  const { id, overview } = shown;
  const act = (name, label, look = "quiet") => h("button", { type: "button", class: look, onclick: () => ask(ACTS[name](id), { then: shown.reload }) }, label);
  if (overview.status === "deleted") {
    return [];
  }
  return [
    h("button", { type: "button", onclick: () => plan(shown) }, "Plan deletion"),
    overview.status === "frozen" && act("recover", "Recover…"),
    (overview.status !== "frozen" || !overview.frozen_by_operator) && act("freeze", "Freeze…"),
    overview.suspension ? act("resume", "Resume…") : act("suspend", "Suspend…"),
    act("hold", "Hold…"),
  ];
}

function entries(overview, erasure) {
  const due = overview.tm_deletion_scheduled;
  const before = (days) => Date.parse(due) - days * DAY;
  const notice = (days, text) => due && before(days) > now() && { tm: before(days), kind: "notice", text };
  const { finished, complete, backups_end } = Object.fromEntries(overview.timeline.map(({ milestone, tm }) => [milestone, tm]));
  return [
    { tm: overview.tm_create, kind: "past", text: "The account was created." },
    overview.suspension && { tm: overview.suspension.since, kind: "past", text: "It was suspended." },
    ...overview.holds.map((hold) => ({ tm: hold.since, kind: "past", text: `It was held: ${hold.name}.` })),
    erasure?.tm_request && { tm: erasure.tm_request, kind: "past", text: "Its deletion was requested." },
    notice(7, "A week is left."),
    notice(1, "A day is left."),
    due && { tm: due, kind: "due", text: overview.holds.length ? "Its deletion is due; holds keep it." : "It is deleted, and cannot be recovered any more." },
    erasure?.tm_claim && { tm: erasure.tm_claim, kind: "past", text: "The purge began." },
    finished && { tm: finished, kind: "past", text: "The purge finished." },
    ...(erasure?.participants ?? []).filter((part) => part.tm_answer === null && !part.waiver).map((part) => ({ tm: part.tm_deadline, kind: "due", text: `${part.name} has to have answered.` })),
    complete && { tm: complete, kind: "past", text: "The erasure was complete." },
    finished && { tm: backups_end, kind: "end", text: "It can no longer be restored from backups." },
  ].filter(Boolean);
}

// Plans the deletion and shows the plan, which the deletion is bound to.
async function plan(shown) {
  const { id, path, parts, customer } = shown;
  parts.plan.replaceChildren();
  let planned;
  try {
    planned = await call({ method: "POST", path: `${path}/erasure/plan` });
  } catch (error) {
    parts.plan.replaceChildren(problem(error));
    return;
  }
  const again = () => plan(shown);
  const then = () => {
    parts.plan.replaceChildren();
    shown.reload();
  };
  const remove = () => ask(ACTS.remove(id, customer.name, planned), { then, planAgain: again });
  const title = h("h2", { tabindex: "-1" }, "Plan of the deletion");
  parts.plan.replaceChildren(
    h(
      "section",
      { class: "panel", id: "plan" },
      title,
      planned.blockers.length > 0 && h("p", { class: "problem" }, `It would be refused now: ${planned.blockers.map(words).join(", ")}.`),
      h("div", { class: "columns" }, h("div", {}, planCounts(planned)), h("div", {}, planFields(planned))),
      facts([
        ["Cost", `about ${planned.capacity.wcu} write and ${planned.capacity.rcu} read units`],
        ["Digest", h("code", {}, planned.digest)],
      ]),
      h(
        "div",
        { class: "acts" },
        h("button", { type: "button", class: "danger", onclick: remove }, "Delete as planned…"),
        h("button", { type: "button", class: "quiet", onclick: again }, "Plan again"),
        h("button", { type: "button", class: "quiet", onclick: () => parts.plan.replaceChildren() }, "Close"),
      ),
    ),
  );
  title.focus();
}

function planCounts({ resources }) {
  const columns = [
    { label: "Deleted", of: ([kind]) => words(kind) },
    { label: "Number", of: ([, count]) => count, number: true },
  ];
  return table("What is deleted", columns, Object.entries(resources).filter(([, count]) => count > 0), "It owns nothing.");
}

// Shows what the deletion does to stored fields: the number of those deleted or blanked, and the names of those kept.
function planFields({ fields }) {
  const all = Object.entries(fields);
  const kept = all.map(([item, list]) => [words(item), list.filter(({ rule }) => rule === "kept").map(({ name }) => name).join(", ")]);
  const gone = all.flatMap(([, list]) => list).filter(({ rule }) => rule !== "kept").length;
  return h("div", {}, h("p", {}, `${gone} stored fields are deleted or blanked. Kept, none of it personal:`), h("details", {}, h("summary", {}, "Fields that are kept"), facts(kept)));
}

async function details(shown) {
  const { id, path, customer, overview } = shown;
  const mine = `customer_id=${encodeURIComponent(id)}`;
  const section = async (title, work) => panel(title, await work().catch(problem));
  const log = h("div", {});
  const [history, keys, agents] = await Promise.all([
    section("History", async () => historyOf(await get(`${path}/events?page_size=50`))),
    section("Access keys", async () => table("Access keys", KEY_COLUMNS, (await get(`/v1.0/accesskeys?${mine}`)).result)),
    section("Agents", async () => table("Agents", AGENT_COLUMNS, (await get(`/v1.0/agents?${mine}`)).result)),
    deliveries(log, id),
  ]);
  const holds = overview.holds.length > 0 && panel("Holds", table("Holds", holdColumns(shown), overview.holds));
  const state = h("div", { class: "columns" }, h("div", {}, panel("Account", profile(customer, overview)), holds), h("div", {}, owned(shown, mine)));
  return [state, agents, keys, panel("Webhook deliveries", log), history];
}

function profile(customer, overview) {
  return facts([
    ["E-mail", customer.email && h("span", {}, customer.email, " ", overview.email_verified ? badge("Verified", "good") : badge("Not verified"))],
    ["Identity", words(overview.identity_verification_status)],
    ["Detail", customer.detail],
    ["Phone", customer.phone_number],
    ["Address", customer.address],
    ["Webhook", customer.webhook_uri && `${customer.webhook_method} ${customer.webhook_uri}`],
    ["Webhook fails since", overview.tm_webhook_failing && time(overview.tm_webhook_failing)],
    ["Admins", String(overview.admins)],
    ["Last login", overview.tm_last_login && time(overview.tm_last_login)],
    ["Created", time(overview.tm_create)],
    ["Changed", time(customer.tm_update)],
    ["Terms", overview.tm_terms && h("span", {}, `${overview.terms_version || "accepted"}, `, time(overview.tm_terms))],
    ["Suspended", overview.suspension && h("span", {}, time(overview.suspension.since), " by ", actor(overview.suspension.by))],
    ["Switches", Object.entries(customer.metadata).map(([name, value]) => `${name}: ${value}`).join(", ")],
  ]);
}

function holdColumns(shown) {
  const lift = (hold) => ask(ACTS.lift(shown.id, hold.name), { then: shown.reload });
  return [
    { label: "Name", of: (hold) => hold.name },
    { label: "Reason", of: (hold) => hold.reason },
    { label: "By", of: (hold) => actor(hold.by) },
    { label: "Since", of: (hold) => time(hold.since) },
    { label: "Act", of: (hold) => h("button", { type: "button", class: "quiet", onclick: () => lift(hold) }, `Lift ${hold.name}…`) },
  ];
}

const KEY_COLUMNS = [
  { label: "Name", of: (key) => key.name || "–" },
  { label: "Detail", of: (key) => key.detail || "–" },
  { label: "Token", of: (key) => h("code", {}, `${key.token_prefix}…`) },
  { label: "For", of: (key) => key.participant ?? permission(key.permission) },
  { label: "Last use", of: (key) => time(key.tm_last_use) },
  { label: "Expires", of: (key) => time(key.tm_expire) },
];

const AGENT_COLUMNS = [
  { label: "User name", of: (agent) => agent.username },
  { label: "Name", of: (agent) => agent.name || "–" },
  { label: "Detail", of: (agent) => agent.detail || "–" },
  { label: "Permission", of: (agent) => permission(agent.permission) },
  { label: "Created", of: (agent) => time(agent.tm_create) },
];

const BITS = [[1, "project admin"], [16, "agent"], [32, "admin"], [64, "manager"]];

function permission(bits) {
  return BITS.filter(([bit]) => bits & bit).map(([, name]) => name).join(", ");
}

function historyOf({ result, next_page_token }) {
  const columns = [
    { label: "When", of: (event) => time(event.timestamp) },
    { label: "What", of: (event) => `${words(event.type)}${event.hold ? ` (${event.hold})` : ""}${event.subjects.length > 1 ? ` × ${event.subjects.length}` : ""}` },
    { label: "Who", of: (event) => actor(event.actor) },
  ];
  return h("div", {}, table("History", columns, result, "Nothing is kept."), next_page_token && h("p", { class: "hint" }, "The newest 50 are shown."));
}

// What the account owns, by kind; the items of one kind on request.
function owned({ overview }, mine) {
  const items = h("div", {});
  const list = async (kind) => {
    try {
      const { result } = await get(`/v1.0/${kind}?${mine}`);
      const title = h("h3", { tabindex: "-1" }, words(kind));
      items.replaceChildren(title, table(words(kind), ITEM_COLUMNS, result));
      title.focus();
    } catch (error) {
      items.replaceChildren(problem(error));
    }
  };
  const columns = [
    { label: "Kind", of: ([kind]) => words(kind) },
    { label: "Number", of: ([, count]) => count, number: true },
    { label: "Items", of: ([kind]) => !LISTED_APART.includes(kind) && h("button", { type: "button", class: "quiet", onclick: () => list(kind) }, `Show ${words(kind).toLowerCase()}`) },
  ];
  return panel("What it owns", table("What the account owns", columns, Object.entries(overview.resources), "Nothing."), items);
}

const ITEM_COLUMNS = [
  { label: "Name", of: (item) => item.name || "–" },
  { label: "Detail", of: (item) => item.detail || "–" },
  { label: "Data", of: (item) => h("code", {}, JSON.stringify(item.data)) },
  { label: "Changed", of: (item) => time(item.tm_update) },
];
