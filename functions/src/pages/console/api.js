// Calls the API as whoever has signed in. The session's token is in this module and nowhere else: not in the page, not in a
// URL, not in storage.

let token = "";
let sessionEnded = () => {};

// A refusal of the API, or the lack of an answer.
class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.reason = error.reason;
    this.details = error.details?.[0] ?? null;
  }
}

// Sets the function that is called when the API refuses the session's token, which has ended then.
export function onSessionEnd(told) {
  sessionEnded = told;
}

// Signs in; fails unless this is a project admin. Returns the agent.
export async function signIn(username, password) {
  const session = await call({ method: "POST", path: "/auth/login", body: { username, password } });
  token = session.token;
  try {
    const agent = await get("/v1.0/me");
    if ((agent.permission & 1) === 0) {
      throw new Refused(403, { message: "This is not a project admin. Owners of accounts have a page of their own." });
    }
    return agent;
  } catch (error) {
    await signOut();
    throw error;
  }
}

// Ends the session; the token is forgotten even if the API cannot be reached.
export async function signOut() {
  const ending = call({ method: "POST", path: "/auth/logout" }).catch(() => {});
  token = "";
  await ending;
}

export function get(path) {
  return call({ method: "GET", path });
}

// Sends a request: {method, path, body, key}. Returns the answer's body; fails with Refused.
export async function call(request) {
  const headers = headersOf(request);
  if (token) {
    headers.authorization = `Bearer ${token}`;
  }
  const { method, path, body } = request;
  const options = { method, headers, credentials: "omit", cache: "no-store" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options).catch(() => {
    throw new Refused(0, { message: "The service cannot be reached. Check your connection, and try again." });
  });
  const answered = await answer.json().catch(() => ({}));
  if (answer.ok) {
    return answered;
  }
  if (answer.status === 401 && token) {
    token = "";
    sessionEnded();
  }
  throw new Refused(answer.status, answered.error ?? { message: "The service is busy. Try again in a moment." });
}

// Returns the request as a curl command for a shell, with the variable TOKEN in place of the token.
export function curlOf(request) {
  const { method, path, body } = request;
  const lines = [`curl -X ${method} ${quoted(location.origin + path)}`, '-H "Authorization: Bearer $TOKEN"'];
  for (const [name, value] of Object.entries(headersOf(request))) {
    lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (body !== undefined) {
    lines.push(`-d ${quoted(JSON.stringify(body))}`);
  }
  return lines.join(" \\\n  ");
}

function headersOf({ body, key }) {
  const headers = {};
  if (body !== undefined) {
    headers["content-type"] = "application/json";
  }
  if (key) {
    headers["idempotency-key"] = `"${key}"`;
  }
  return headers;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
