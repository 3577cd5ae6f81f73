// The views beside a single account: accounts, erasures under way, failing webhooks, receipts.

import { get } from "./api.js";
import { ACTS, ask } from "./acts.js";
import { now } from "./clock.js";
import { announce, badge, dueTime, facts, h, link, panel, problem, replace, table, time, words } from "./dom.js";
import { progress, receipts } from "./erasure.js";

const STATUSES = { initial: "plain", active: "good", frozen: "warning", deleted: "bad" };

// Lists to choose from: label and query. `{}` in a query stands for a text; the third entry is the label of its field.
const LISTS = {
  due: ["Due soonest", "status=frozen&sort=due"],
  all: ["All, newest first", ""],
  name: ["By name…", "name={}", "Name begins with"],
  email: ["By e-mail address…", "email={}", "E-mail address"],
  id: ["By id…", null, "Account's id"],
  initial: ["Initial", "status=initial"],
  active: ["Active", "status=active"],
  frozen: ["Frozen", "status=frozen"],
  deleted: ["Deleted", "deleted=true"],
  held: ["Held", "hold=true"],
  suspended: ["Suspended", "suspended=true"],
  failing: ["Webhook failing", "webhooks=failing"],
};

// The last search, which is shown again after looking at an account. It is never in the address bar.
const looked = { list: "due", text: "" };

export function statusBadge(status) {
  return badge(words(status), STATUSES[status]);
}

export async function accounts(view) {
  const select = h("select", { id: "list" }, Object.entries(LISTS).map(([name, [label]]) => h("option", { value: name, selected: name === looked.list }, label)));
  const input = h("input", { id: "text", type: "text", autocomplete: "off", spellcheck: "false", maxlength: "254" });
  const label = h("label", { for: "text" });
  const asked = h("div", {}, label, input);
  const found = h("div", {});
  const fit = () => {
    const wanted = LISTS[select.value][2];
    asked.hidden = !wanted;
    label.textContent = wanted ?? "";
  };
  const search = async () => {
    Object.assign(looked, { list: select.value, text: input.value.trim() });
    const [, query] = LISTS[looked.list];
    if (query === null) {
      location.hash = `#/accounts/${encodeURIComponent(looked.text)}`;
      return;
    }
    await listing(found, query.replace("{}", encodeURIComponent(looked.text)));
  };
  const form = h(
    "form",
    {
      class: "find",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        search();
      },
    },
    h("div", {}, h("label", { for: "list" }, "Show"), select),
    asked,
    h("button", { type: "submit" }, "Find"),
  );
  input.value = looked.text;
  select.addEventListener("change", fit);
  fit();
  view.append(h("h1", { tabindex: "-1" }, "Accounts"), form, found);
  if (LISTS[looked.list][1] !== null) {
    await search();
  }
}

const ACCOUNT_COLUMNS = [
  { label: "Name", of: (one) => link(one.id, one.name || "(no name)") },
  { label: "E-mail", of: (one) => one.email || "–" },
  { label: "Status", of: (one) => statusBadge(one.status) },
  { label: "Deletion", of: (one) => (one.tm_delete ? time(one.tm_delete) : dueTime(one.tm_deletion_scheduled)) },
  { label: "Created", of: (one) => time(one.tm_create) },
];

// Lists accounts, page by page.
async function listing(found, query) {
  const rows = [];
  let token = "";
  const more = async () => {
    try {
      const page = await get(`/v1.0/customers?${query}${query && "&"}page_size=50${token && `&page_token=${encodeURIComponent(token)}`}`);
      rows.push(...page.result);
      token = page.next_page_token;
    } catch (error) {
      found.replaceChildren(problem(error));
      return;
    }
    announce(`${rows.length}${token ? " and more" : ""} found`);
    const button = token && h("button", { type: "button", class: "quiet", onclick: more }, "Show more");
    replace(found, table("Accounts", ACCOUNT_COLUMNS, rows, "No account is in this list."), button);
  };
  await more();
}

// Purges under way, and what stops others.
export async function erasures(view, isShown) {
  const region = h("div", {});
  const follow = h("input", { id: "follow", type: "checkbox", checked: true });
  view.append(
    h("h1", { tabindex: "-1" }, "Erasures"),
    h("label", { class: "choice", for: "follow" }, follow, " Update every few seconds"),
    region,
  );
  const update = async () => {
    try {
      replace(region, ...(await state(update)));
    } catch (error) {
      region.replaceChildren(problem(error));
    }
  };
  await update();
  repeat(() => follow.checked && update(), 3_000, isShown);
}

// Calls `work` every `pause` milliseconds while the view is shown, except while the tab is hidden or a dialog is open.
export function repeat(work, pause, isShown) {
  setTimeout(async () => {
    if (!isShown()) {
      return;
    }
    if (!document.hidden && !document.getElementById("act").open) {
      await work();
    }
    repeat(work, pause, isShown);
  }, pause);
}

async function state(changed) {
  const [purge, registry, due] = await Promise.all([
    get("/v1.0/purge"),
    get("/v1.0/participants"),
    get("/v1.0/customers?status=frozen&sort=due&page_size=20"),
  ]);
  const asked = await Promise.all(registry.result.map(({ name }) => get(`/v1.0/participants/${encodeURIComponent(name)}/requests?page_size=20`)));
  const ids = [...purge.running, ...asked.flatMap(({ result }) => result)].map((one) => one.customer_id);
  const shown = [...new Set(ids)].slice(0, 20);
  const ledgers = await Promise.all(shown.map((id) => get(`/v1.0/customers/${id}/erasure`)));
  const overdue = due.result.filter((one) => new Date(one.tm_deletion_scheduled).getTime() <= now());
  return [
    h("div", { class: "tiles" }, killSwitch(purge), limit("Breaker", purge.breaker, "purges begun"), limit("Brake", purge.brake, "deletions by operators")),
    panel("Under way", ...underWay(ledgers, changed)),
    panel("Due, and not begun", table("Accounts that are due", ACCOUNT_COLUMNS, overdue, "No account is due.")),
    panel("Participants that new erasures ask", table("Participants", PARTICIPANT_COLUMNS, registry.result, "None is registered.")),
  ];
}

const PARTICIPANT_COLUMNS = [
  { label: "Name", of: (one) => one.name },
  { label: "Waited for", of: (one) => (one.required ? "Yes" : "No") },
  { label: "Time to answer", of: (one) => `${one.timeout / 3_600} hours` },
  { label: "Detail", of: (one) => one.detail || "–" },
];

function killSwitch({ enabled }) {
  const said = enabled ? "The purge runs." : "Nothing is purged: accounts that are due wait.";
  return panel("Kill switch", h("p", {}, enabled ? badge("Purge on", "good") : badge("Purge off", "bad")), h("p", {}, said));
}

function limit(title, { limit, used, open }, counted) {
  if (limit === null) {
    return panel(title, h("p", {}, badge("No limit", "warning")), h("p", {}, `${used} ${counted} within this hour.`));
  }
  const look = open ? badge("Open: no more this hour", "bad") : badge("Closed", "good");
  return panel(
    title,
    h("p", {}, look),
    h("progress", { max: Math.max(limit, 1), value: Math.min(used, limit), "aria-label": title }),
    h("p", {}, `${used} of ${limit} ${counted} within this hour.`),
  );
}

function underWay(ledgers, changed) {
  if (ledgers.length === 0) {
    return [h("p", { class: "quiet-text" }, "No purge is under way, and no participant has a question to answer.")];
  }
  return ledgers.map((ledger) => h("article", {}, h("h3", {}, link(ledger.customer_id)), progress(ledger, changed)));
}

// Accounts whose webhook fails, each with its deliveries.
export async function webhooks(view) {
  view.append(h("h1", { tabindex: "-1" }, "Failing webhooks"));
  const { result } = await get("/v1.0/customers?webhooks=failing&page_size=20");
  if (result.length === 0) {
    view.append(h("p", { class: "quiet-text" }, "No webhook fails."));
  }
  for (const customer of result) {
    const log = h("div", {});
    view.append(h("section", { class: "panel" }, h("h2", {}, link(customer.id, customer.name)), facts([["Sent to", customer.webhook_uri], ["Method", customer.webhook_method]]), log));
    await deliveries(log, customer.id);
  }
}

const DELIVERIES = { delivered: "good", failed: "bad", gone: "bad" };

// The newest deliveries of an account, to resend those that have not arrived.
export async function deliveries(element, id) {
  const again = () => deliveries(element, id);
  const resend = (one) => h("button", { type: "button", class: "quiet", "aria-label": `Resend ${words(one.type)} ${one.sequence}`, onclick: () => ask(ACTS.resend(id, one.id), { then: again }) }, "Resend");
  const columns = [
    { label: "Event", of: (one) => words(one.type) },
    { label: "When", of: (one) => time(one.tm_event) },
    { label: "Status", of: (one) => badge(words(one.status), DELIVERIES[one.status] ?? "warning") },
    { label: "Attempts", of: (one) => one.attempts, number: true },
    { label: "Last result", of: (one) => one.last_result ?? "–" },
    { label: "Act", of: (one) => ["pending", "failed"].includes(one.status) && resend(one) },
  ];
  try {
    const { result } = await get(`/v1.0/webhook_deliveries?customer_id=${id}&page_size=10`);
    replace(element, table("Webhook deliveries", columns, result, "Nothing was sent."));
  } catch (error) {
    element.replaceChildren(problem(error));
  }
}

// The view that verifies receipts that are pasted into it.
export async function receiptView(view) {
  const text = h("textarea", { id: "jws", spellcheck: "false", "aria-describedby": "jws-hint" });
  const verdict = h("div", { role: "status" });
  const verify = async (event) => {
    event.preventDefault();
    const signed = text.value.split(/\s+/).filter(Boolean);
    verdict.replaceChildren(signed.length ? await receipts(signed) : h("p", { class: "problem" }, "Paste a receipt first."));
  };
  view.append(
    h("h1", { tabindex: "-1" }, "Receipts"),
    h(
      "form",
      { class: "narrow", novalidate: true, onsubmit: verify },
      h("label", { for: "jws" }, "Signed receipts"),
      h("p", { class: "hint", id: "jws-hint" }, "As GET /v1.0/customers/{id}/erasure has them, the earliest first, with blanks or lines between them. They are verified in this page, with the keys of this service."),
      text,
      h("button", { type: "submit" }, "Verify"),
    ),
    h("section", { class: "narrow" }, verdict),
  );
}
