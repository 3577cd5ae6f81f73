// Verifies erasure receipts in the browser: compact JSON Web Signatures (RFC 7515) by ES256, with the public keys that
// GET /v1.0/erasure-keys answers.

const TYPE = "erasure-receipt+jwt";
const ISSUER = "tenure";
const CURVE = { name: "ECDSA", namedCurve: "P-256" };

// Why a receipt is not genuine.
class NotGenuine extends Error {}

// Verifies one receipt. Returns {valid, reason, claims}: `reason` says why it is not valid, and is empty if it is; `claims`
// is what a valid receipt states, else null.
export async function verifyReceipt(jws, jwks) {
  try {
    return { valid: true, reason: "", claims: await claimsOf(jws, jwks) };
  } catch (error) {
    const reason = error instanceof NotGenuine ? error.message : "it cannot be read";
    return { valid: false, reason, claims: null };
  }
}

// Verifies all receipts of an account, the earliest first, as GET /v1.0/erasures/{ticket} lists them: each must be
// valid, and a receipt that it supersedes must be among those before it.
export async function verifyReceipts(receipts, jwks) {
  const digests = [];
  const results = [];
  for (const jws of receipts) {
    const result = await verifyReceipt(jws, jwks);
    const superseded = result.claims?.supersedes;
    if (superseded && !digests.includes(superseded)) {
      results.push({ valid: false, reason: "it supersedes a receipt that is not here", claims: null });
    } else {
      results.push(result);
    }
    digests.push(await digest(jws));
  }
  return results;
}

async function claimsOf(jws, jwks) {
  const parts = jws.split(".");
  if (parts.length !== 3) {
    throw new NotGenuine("it is not a signed receipt");
  }
  const [header, payload] = parts.slice(0, 2).map((part) => JSON.parse(utf8(bytes(part))));
  if (header.alg !== "ES256" || header.crit !== undefined) {
    throw new NotGenuine("it is not signed by ES256");
  }
  const known = jwks.keys.find((key) => key.kid === header.kid && key.kty === "EC" && key.crv === "P-256");
  if (!known) {
    throw new NotGenuine("it is signed with a key that this service does not publish");
  }
  const { kty, crv, x, y } = known;
  const key = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, CURVE, false, ["verify"]);
  const signed = new TextEncoder().encode(`${parts[0]}.${parts[1]}`);
  if (!(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, bytes(parts[2]), signed))) {
    throw new NotGenuine("its signature does not match: it was changed after it was signed, or is not from this service");
  }
  if (header.typ !== TYPE || payload.iss !== ISSUER) {
    throw new NotGenuine("it is signed, but is not an erasure receipt of this service");
  }
  return payload;
}

// Decodes base64url without padding. Refuses any other spelling of the same bytes, so that no byte can be changed unseen.
function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const again = btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  if (again !== text) {
    throw new NotGenuine("it was changed, or is not complete");
  }
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

function utf8(content) {
  return new TextDecoder("utf-8", { fatal: true }).decode(content);
}

async function digest(text) {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
