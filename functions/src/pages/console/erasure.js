// The progress of an erasure, and its receipts, which are verified in the browser.

import { get } from "./api.js";
import { ACTS, ask } from "./acts.js";
import { actor, badge, dueTime, facts, h, problem, table, time, tree, words } from "./dom.js";
import { verifyReceipts } from "./receipt.js";

const STAGES = {
  none: ["Not requested", "plain"],
  scheduled: ["Scheduled", "warning"],
  withdrawn: ["Withdrawn", "plain"],
  held: ["Held back", "warning"],
  due: ["Due", "warning"],
  running: ["Purging", "warning"],
  awaiting: ["Awaiting participants", "warning"],
  incomplete: ["Overdue participants", "bad"],
  finished: ["Erased", "good"],
};

const STATES = { completed: "good", waived: "plain", failed: "bad" };

export function stageBadge(stage) {
  return badge(...(STAGES[stage] ?? [stage]));
}

// Returns whether an erasure is in progress, so that it is worth polling.
export function isMoving({ stage }) {
  return ["due", "running", "awaiting", "incomplete"].includes(stage);
}

// Returns the progress of an erasure by kind and by participant. `changed` is called after an action on it.
export function progress(erasure, changed) {
  const columns = [
    { label: "Kind", of: ([kind]) => words(kind) },
    { label: "Deleted", of: ([, { found, deleted }]) => `${deleted} of ${found}`, number: true },
    { label: "Progress", of: ([kind, { found, deleted }]) => h("progress", { max: Math.max(found, 1), value: found ? deleted : 1, "aria-label": words(kind) }) },
  ];
  const counted = Object.entries(erasure.resources);
  return h(
    "div",
    {},
    h("p", {}, stageBadge(erasure.stage), " ", erasure.reason && `because of: ${erasure.reason}`),
    facts([
      ["Requested", erasure.tm_request && h("span", {}, time(erasure.tm_request), " by ", actor(erasure.requested_by))],
      ["Due", erasure.tm_due && dueTime(erasure.tm_due)],
      ["Withdrawn", erasure.tm_withdraw && h("span", {}, time(erasure.tm_withdraw), " by ", actor(erasure.withdrawn_by))],
      ["Purge began", erasure.tm_claim && time(erasure.tm_claim)],
      ["Purge finished", erasure.tm_finish && time(erasure.tm_finish)],
      ["Complete", erasure.tm_complete && time(erasure.tm_complete)],
      ["Round", erasure.round > 1 && erasure.round],
      ["Attempts", erasure.attempts > 1 && erasure.attempts],
      ["Last error", erasure.last_error],
      ["Quarantined", erasure.quarantined > 0 && `${erasure.quarantined} items of unknown kinds`],
    ]),
    counted.length > 0 && table("What the purge has deleted", columns, counted),
    erasure.participants.length > 0 && [h("h3", {}, "Participants"), participants(erasure, changed)],
  );
}

function participants(erasure, changed) {
  const waivable = (part) => part.required && !["completed", "waived"].includes(part.state);
  const waive = (part) => ask(ACTS.waive(erasure.customer_id, part.name), { then: changed });
  const said = (part) => [
    part.found !== null && `${part.deleted} of ${part.found} deleted. `,
    part.retained.map(({ kind, count, ground, until }) => h("p", {}, `Keeps ${count} ${kind}: ${ground}`, until && [", until ", time(until)])),
    part.detail,
    part.waiver && h("p", {}, "Waived by ", actor(part.waiver.by), `: ${part.waiver.reason}`),
  ];
  const columns = [
    { label: "Name", of: (part) => `${part.name}${part.required ? "" : " (optional)"}` },
    { label: "State", of: (part) => badge(words(part.state), STATES[part.state] ?? "warning") },
    { label: "Deadline", of: (part) => dueTime(part.tm_deadline) },
    { label: "Says", of: said },
    { label: "Act", of: (part) => waivable(part) && h("button", { type: "button", class: "quiet", onclick: () => waive(part) }, `Waive ${part.name}`) },
  ];
  return table("Participants in this erasure", columns, erasure.participants);
}

// Receipts, each with what it states, once it is verified with the keys that the API publishes.
export async function receipts(signed) {
  try {
    const results = await verifyReceipts(signed, await get("/v1.0/erasure-keys"));
    return h("div", {}, results.map((result, index) => receipt(result, signed[index])));
  } catch (error) {
    return problem(error);
  }
}

function receipt({ valid, reason, claims }, jws) {
  if (!valid) {
    return h("div", {}, h("p", { class: "verdict" }, badge("Not valid", "bad"), ` Not verified: ${reason}.`), raw(jws));
  }
  const deleted = Object.entries(claims.counts).map(([kind, count]) => `${count} ${words(kind).toLowerCase()}`);
  return h(
    "div",
    {},
    h("p", { class: "verdict" }, badge("Verified", "good"), ` Signed by a key of this service, and unchanged since. ${claims.final ? "It is final." : "Another one will replace it."}`),
    facts([
      ["Account", h("code", {}, claims.sub)],
      ["Signed as of", time(new Date(claims.iat * 1_000).toISOString())],
      ["Deleted", deleted.join(", ") || "nothing"],
      ["Fields erased", claims.fields_erased.join(", ")],
    ]),
    h("details", {}, h("summary", {}, "All that it states"), tree(claims)),
    raw(jws),
  );
}

function raw(jws) {
  return h("details", {}, h("summary", {}, "The receipt itself"), h("pre", {}, jws));
}
