// A part of the README's tutorial, with the types that openapi-typescript generates: see infra/check_clients.py.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./api.js";

type Schemas = components["schemas"];
type Answer<T> = { data?: T; error?: Schemas["ErrorResponse"] | Schemas["GatewayError"] };

const password = "ee5f3d14-5ac6-11ed-808e-6f7d676a444b";

function expect<T>({ data, error }: Answer<T>): T {
  assert.ok(data !== undefined, JSON.stringify(error));
  return data;
}

function refusal({ error }: Answer<unknown>): Schemas["Error"] {
  assert.ok(error && "error" in error, JSON.stringify(error));
  return error.error;
}

async function session(baseUrl: string, username: string, password: string): Promise<Client<paths>> {
  const body: Schemas["LoginRequest"] = { username, password };
  const { token } = expect(await createClient<paths>({ baseUrl }).POST("/auth/login", { body }));
  return createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });
}

const [, , baseUrl] = process.argv;
assert.ok(baseUrl, "the URL is missing");
const operator = await session(baseUrl, "admin@localhost", "local-admin-password");
const username = `test-${randomUUID()}`;
const customer: Schemas["Customer"] = expect(
  await operator.POST("/v1.0/customers", {
    params: { header: { "Idempotency-Key": `"${randomUUID()}"` } },
    body: { username, password, name: "Test Company", webhook_method: "" },
  }),
);
const path = { id: customer.id };
assert.deepEqual(expect(await operator.GET("/v1.0/customers/{id}", { params: { path } })), customer);

const admin = await session(baseUrl, username, password);
const key: Schemas["AccessKeyWithToken"] = expect(
  await admin.POST("/v1.0/accesskeys", { body: { name: "CI", expire: 2592000 } }),
);
assert.equal(key.token.slice(0, 11), key.token_prefix);
const secret: string = expect(await admin.GET("/v1.0/customer")).webhook_secret;
assert.match(secret, /^whsec_/);
const number = expect(
  await admin.POST("/v1.0/{kind}", {
    params: { path: { kind: "numbers" } },
    body: { name: "Front desk", data: { number: "+15551234567" } },
  }),
);
const numbers = expect(await admin.GET("/v1.0/{kind}", { params: { path: { kind: "numbers" } } }));
assert.deepEqual(numbers, { result: [number], next_page_token: "" });

const frozen = expect(await admin.POST("/auth/unregister", { body: { password } }));
assert.equal(frozen.status, "frozen");
assert.equal(refusal(await admin.GET("/v1.0/agents")).reason, "ACCOUNT_FROZEN");
assert.equal(expect(await admin.DELETE("/auth/unregister")).tm_deletion_scheduled, null);
