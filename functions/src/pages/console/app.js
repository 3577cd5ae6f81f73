// The console: signs in, and shows the view that the address names. The address has the id of an account at most.

import { onSessionEnd, signIn, signOut } from "./api.js";
import { account } from "./account.js";
import { showClock } from "./clock.js";
import { announce, problem } from "./dom.js";
import { accounts, erasures, receiptView, webhooks } from "./lists.js";

const VIEWS = { accounts, erasures, webhooks, receipt: receiptView };

const [form, view, nav, session, username, password, refusal] = ["sign-in", "view", "nav", "session", "username", "password", "sign-in-problem"].map((id) =>
  document.getElementById(id),
);
let isSigningIn = false;
// Number of the view that is shown: answers that arrive for an earlier one are not shown.
let current = 0;

async function show() {
  if (view.hidden) {
    return;
  }
  const [, name, id] = location.hash.split("/");
  const render = id && name === "accounts" ? account : (VIEWS[name] ?? accounts);
  const number = ++current;
  const page = document.createElement("div");
  for (const link of nav.querySelectorAll("a")) {
    link.removeAttribute("aria-current");
    if (link.hash === `#/${name || "accounts"}`) {
      link.setAttribute("aria-current", "page");
    }
  }
  document.getElementById("act").close();
  view.replaceChildren(page);
  try {
    await render(page, () => number === current && !view.hidden, id && decodeURIComponent(id));
  } catch (error) {
    page.append(problem(error));
  }
  if (number === current && !view.hidden) {
    const title = page.querySelector("h1");
    // Browsers keep titles, so the title of an account's view does not contain the account's name.
    document.title = `${render === account ? "Account" : title?.textContent} – Tenure console`;
    title?.focus();
  }
}

async function enter(event) {
  event.preventDefault();
  if (isSigningIn) {
    return;
  }
  isSigningIn = true;
  refusal.textContent = "";
  try {
    const agent = await signIn(username.value, password.value);
    document.getElementById("who").textContent = agent.username;
    turn(true);
    await show();
  } catch (error) {
    refusal.textContent = error.message;
    password.focus();
  }
  password.value = "";
  isSigningIn = false;
}

// Shows the view, or the form that signs in.
function turn(isIn) {
  form.hidden = isIn;
  view.hidden = nav.hidden = session.hidden = !isIn;
  if (!isIn) {
    document.getElementById("act").close();
    view.replaceChildren();
    document.getElementById("who").textContent = "";
    document.title = "Tenure console";
    document.getElementById("sign-in-title").focus();
  }
}

form.addEventListener("submit", enter);
document.getElementById("sign-out").addEventListener("click", async () => {
  turn(false);
  await signOut();
  announce("Signed out.");
});
onSessionEnd(() => {
  turn(false);
  refusal.textContent = "The session has ended. Sign in again to go on where you were.";
});
addEventListener("hashchange", show);
showClock(document.getElementById("clock"));
