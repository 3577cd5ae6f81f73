// Sends what a form has to the API when the reader presses the button: the token of a mailed link, if the form needs one. The
// token is in the fragment of the address, which no server sees, and is taken out of the address bar at once.
"use strict";

const form = document.getElementById("form");
const problem = document.getElementById("problem");
const done = document.getElementById("done");
const show = document.getElementById("show");
// Kinds of links that the form is for; none if it needs no link.
const kinds = form.dataset.kinds?.split(" ") ?? [];
// Field that an error is about, by the error's reason, if its message does not begin with the name of the field.
const FIELDS = { USERNAME_TAKEN: "username" };
let token = "";
let isSending = false;

// Takes the token from the address, and shows what belongs to its kind: the first one, unless the link names another.
function begin() {
  const link = new URLSearchParams(location.hash.slice(1));
  if (link.get("token")) {
    token = link.get("token");
    history.replaceState(null, "", location.pathname);
  }
  const kind = kinds.includes(link.get("for")) ? link.get("for") : kinds[0];
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = part.dataset.for !== kind;
  }
  clear();
  done.hidden = true;
  const isReady = Boolean(token) || kinds.length === 0;
  form.hidden = !isReady;
  if (!isReady) {
    problem.textContent = "This page was opened without its link, or was loaded again. Open the link in your mail once more.";
  }
}

// The fields that are shown.
function fields() {
  return [...form.querySelectorAll("input[name]")].filter((field) => !field.closest("[hidden]"));
}

function clear() {
  problem.textContent = "";
  for (const field of form.querySelectorAll("input[name]")) {
    field.removeAttribute("aria-invalid");
    document.getElementById(`${field.id}-problem`).textContent = "";
  }
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// Shows an error of the API next to the field that it names, or below the form.
function explain(error) {
  const [, named, rest] = /^(\w+): (.*)$/s.exec(error.message) ?? [null, FIELDS[error.reason], error.message];
  const field = fields().find((field) => field.name === named);
  if (!field) {
    problem.textContent = sentence(named === "token" ? rest : error.message);
    return;
  }
  const inside = field.closest("details");
  if (inside) {
    inside.open = true;
  }
  document.getElementById(`${field.id}-problem`).textContent = sentence(rest);
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

async function post(body) {
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body), credentials: "omit" };
  let answer;
  try {
    answer = await fetch(form.dataset.post, options);
  } catch {
    return { error: { message: "The service cannot be reached. Check your connection, and press the button again." } };
  }
  const answered = await answer.json().catch(() => ({}));
  if (answer.ok || answered.error) {
    return answered;
  }
  return { error: { message: "The service is busy. Press the button again in a moment." } };
}

async function send(event) {
  event.preventDefault();
  if (isSending) {
    return;
  }
  const button = form.querySelector("button");
  const body = kinds.length > 0 ? { token } : {};
  for (const field of fields()) {
    if (field.required || field.value) {
      body[field.name] = field.value;
    }
  }
  clear();
  isSending = true;
  button.setAttribute("aria-disabled", "true");
  const answered = await post(body);
  isSending = false;
  button.removeAttribute("aria-disabled");
  if (answered.error) {
    explain(answered.error);
    return;
  }
  finish(body.username || answered.customer?.email || "", answered);
}

// Clears the form and the token, and shows what to do next.
function finish(username, answered) {
  token = "";
  form.reset();
  form.hidden = true;
  done.hidden = false;
  const login = document.getElementById("login");
  if (login) {
    login.textContent = username;
  }
  for (const time of document.querySelectorAll("[data-answer]")) {
    const moment = new Date(answered[time.dataset.answer]);
    const parts = { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
    time.textContent = moment.toLocaleString("en-GB", parts);
  }
  document.getElementById("done-title").focus();
}

show?.addEventListener("change", () => {
  document.getElementById("password").type = show.checked ? "text" : "password";
});
form.addEventListener("submit", send);
// Another link that is opened in the same tab changes only the fragment.
addEventListener("hashchange", begin);
begin();
