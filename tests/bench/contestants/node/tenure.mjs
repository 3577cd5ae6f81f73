// What the functions have in common.
import { createHash, randomBytes } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, GetCommand } from "@aws-sdk/lib-dynamodb";

export const client = DynamoDBDocumentClient.from(new DynamoDBClient({}), {
  marshallOptions: { removeUndefinedValues: true },
});
export const ACCOUNTS = process.env.ACCOUNTS_TABLE;
export const OUTBOX = process.env.OUTBOX_TABLE;
export const PROJECT_ADMIN = 1;
export const ADMIN = 32;

/// The parameters of every password's hash; 2 is argon2id.
export const ARGON2 = { algorithm: 2, memoryCost: 19456, timeCost: 2, parallelism: 1 };

export const sha256 = (text) => createHash("sha256").update(text).digest("hex");

export function uuidv7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export async function get(pk, sk) {
  const command = new GetCommand({ TableName: ACCOUNTS, Key: { pk, sk }, ConsistentRead: true });
  return (await client.send(command)).Item;
}

export async function caller(event, permission) {
  const header = event.headers.authorization;
  if (!header?.startsWith("Bearer ")) return undefined;
  const session = await get(`TOKEN#${sha256(header.slice(7))}`, "L");
  const valid = session && session.permission & permission && session.tm_expire > new Date().toISOString();
  return valid ? session : undefined;
}

const SHOWN = [
  "id", "name", "detail", "email", "phone_number", "address", "webhook_method", "webhook_uri",
  "billing_account_id", "metadata", "email_verified", "status", "identity_verification_status",
  "tm_deletion_scheduled", "tm_create", "tm_update", "tm_delete",
];

export const shown = (item) => Object.fromEntries(SHOWN.map((name) => [name, item[name] ?? null]));

/// The item of an event that has happened to an account itself.
export function outboxItem(type, customer, sequence) {
  const id = uuidv7();
  return {
    id, type, customer_id: customer.id, tm_event: customer.tm_update, status: customer.status,
    tm_deletion_scheduled: customer.tm_deletion_scheduled ?? undefined, sequence, attempts: 0,
    due_pk: `PUBLISH#${parseInt(id.slice(-2), 16) % 4}`, due_sk: `${customer.tm_update}#${id}`,
    expires_at: Math.floor(Date.now() / 1000) + 7 * 86400,
  };
}

export const reply = (statusCode, body) => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

export const refuse = (status, reason) => reply(status, { error: { reason } });
