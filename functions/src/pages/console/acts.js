// Actions on accounts. Each is confirmed once, in a dialog that says what it will do, and shows the request it sends.

import { call, curlOf } from "./api.js";
import { announce, h, table, words } from "./dom.js";

const GIVE_REASON = { name: "reason", label: "Reason", hint: "It is kept after the erasure: nothing personal." };

export const ACTS = {
  freeze: (id) => ({
    title: "Freeze this account",
    verb: "Freeze",
    done: "Frozen.",
    says: [
      "Its people and programs get 403 at once, and it is deleted when the grace period ends.",
      "Only an operator recovers it, until that date.",
    ],
    request: () => ({ method: "POST", path: `/v1.0/customers/${id}/freeze` }),
  }),
  recover: (id) => ({
    title: "Recover this account",
    verb: "Recover",
    done: "Recovered.",
    says: ["It gets back the status that it had, and is not deleted any more. Keys and sessions work again."],
    request: () => ({ method: "POST", path: `/v1.0/customers/${id}/recover` }),
  }),
  suspend: (id) => ({
    title: "Suspend this account",
    verb: "Suspend",
    done: "Suspended.",
    says: [
      "Its people and programs get 403 at once, requests under way included. They can only log in and unregister.",
      "Its status and what it owns stay as they are. Resuming undoes this.",
    ],
    request: () => ({ method: "POST", path: `/v1.0/customers/${id}/suspend` }),
  }),
  resume: (id) => ({
    title: "Resume this account",
    verb: "Resume",
    done: "Resumed.",
    says: ["Its suspension ends: its people, keys and sessions work again."],
    request: () => ({ method: "POST", path: `/v1.0/customers/${id}/resume` }),
  }),
  hold: (id) => ({
    title: "Hold this account",
    verb: "Hold",
    done: "Held.",
    says: [
      "Until the last hold is lifted it is not deleted, even if that is due, and what it owns is neither deleted nor overwritten.",
      "Its owner does not learn of the hold. A hold of the same name is replaced.",
    ],
    fields: [
      { name: "name", label: "Name", hint: "Small letters, digits and hyphens.", value: "default" },
      { ...GIVE_REASON, hint: "Such as the case's number. It is kept after the erasure: nothing personal." },
    ],
    request: ({ name, reason }) => ({
      method: "PUT",
      path: `/v1.0/customers/${id}/holds/${encodeURIComponent(name)}`,
      body: { reason },
    }),
  }),
  lift: (id, name) => ({
    title: `Lift the hold ${name}`,
    verb: "Lift",
    done: "Lifted.",
    says: ["With the last hold lifted, a frozen account is purged when it is due, 24 hours from now at the earliest."],
    request: () => ({ method: "DELETE", path: `/v1.0/customers/${id}/holds/${encodeURIComponent(name)}` }),
  }),
  remove: (id, name, plan) => ({
    title: `Delete ${name || "this account"}`,
    verb: "Delete for good",
    done: "Deleted. The purge follows.",
    danger: true,
    says: [
      "The account and all that the plan counts are deleted at once. There is no grace period, and nobody can undo it.",
      "If the account has changed since the plan, nothing is deleted.",
    ],
    request: () => ({ method: "DELETE", path: `/v1.0/customers/${id}?plan=${plan.digest}` }),
  }),
  waive: (id, participant) => ({
    title: `Waive ${participant}`,
    verb: "Waive",
    done: "Waived.",
    says: [
      "The erasure is complete without this participant's answer. The ledger keeps that you decided so, and why; the receipt says that it was waived.",
    ],
    fields: [GIVE_REASON],
    request: ({ reason }) => ({ method: "POST", path: `/v1.0/erasures/${id}/waivers`, body: { participant, reason }, unkeyed: true }),
  }),
  resend: (id, delivery) => ({
    title: "Resend this event",
    verb: "Resend",
    done: "It is sent again.",
    says: ["The event goes to the account's webhook once more, with the same id, and is retried as a new one is."],
    request: () => ({ method: "POST", path: `/v1.0/webhook_deliveries/${delivery}/resend?customer_id=${id}` }),
  }),
};

// Opens the dialog of an act. `then` is called when it is done, and `planAgain` if its plan is outdated.
export function ask(act, { then, planAgain }) {
  const dialog = document.getElementById("act");
  const fields = (act.fields ?? []).map(field);
  const refusal = h("div", { role: "alert" });
  const curl = h("pre", {});
  const copy = () => navigator.clipboard.writeText(curl.textContent).then(() => (copied.textContent = "Copied."));
  const copied = h("span", { role: "status" });
  const confirm = h("button", { type: "submit", class: act.danger ? "danger" : null }, act.verb);
  const cancel = h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel");
  const title = h("h2", { id: "act-title", tabindex: "-1", autofocus: true }, act.title);
  let request = null;
  let isSending = false;

  // A request that is sent again unchanged keeps its idempotency key, and has one effect; a changed one gets a new key.
  function prepare() {
    request = act.request(Object.fromEntries(fields.map(({ input }) => [input.name, input.value])));
    if (request.method !== "DELETE" && !request.unkeyed) {
      request.key = crypto.randomUUID();
    }
    curl.textContent = curlOf(request);
  }

  async function send(event) {
    event.preventDefault();
    if (isSending) {
      return;
    }
    isSending = true;
    confirm.setAttribute("aria-disabled", "true");
    try {
      await call(request);
      dialog.close();
      announce(act.done);
      then();
    } catch (error) {
      refusal.replaceChildren(...explain(error));
      if (error.reason === "PLAN_OUTDATED") {
        const again = () => {
          dialog.close();
          planAgain();
        };
        confirm.replaceWith(h("button", { type: "button", onclick: again }, "Plan again"));
      }
    }
    isSending = false;
    confirm.removeAttribute("aria-disabled");
  }

  const form = h(
    "form",
    { novalidate: true, onsubmit: send, oninput: prepare },
    title,
    act.says.map((text) => h("p", {}, text)),
    fields.map(({ parts }) => parts),
    h("details", { open: true }, h("summary", {}, "The request, as curl"), curl, h("p", {}, h("button", { type: "button", class: "quiet", onclick: copy }, "Copy it"), " ", copied)),
    refusal,
    h("div", { class: "acts" }, confirm, cancel),
  );
  dialog.replaceChildren(form);
  prepare();
  dialog.showModal();
}

function field({ name, label, hint, value = "" }) {
  const id = `act-${name}`;
  const input = h("input", { id, name, type: "text", autocomplete: "off", "aria-describedby": `${id}-hint` });
  input.value = value;
  const parts = [h("label", { for: id }, label), h("p", { id: `${id}-hint`, class: "hint" }, hint), input];
  return { input, parts };
}

function explain(error) {
  const said = [h("p", { class: "problem" }, error.message)];
  const counts = Object.entries(error.details?.resources ?? {});
  if (counts.length) {
    const columns = [
      { label: "Kind", of: ([kind]) => words(kind) },
      { label: "Planned", of: ([, count]) => count.planned, number: true },
      { label: "Found", of: ([, count]) => count.found, number: true },
    ];
    said.push(table("What differs from the plan", columns, counts));
  }
  if (error.details?.account_changed) {
    said.push(h("p", {}, "The account itself was changed, held, frozen or suspended since the plan."));
  }
  return said;
}
