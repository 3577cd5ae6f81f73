import { TransactWriteCommand } from "@aws-sdk/lib-dynamodb";
import { hash } from "@node-rs/argon2";
import { serve } from "./lambda.mjs";
import {
  ACCOUNTS, ADMIN, ARGON2, OUTBOX, PROJECT_ADMIN, caller, client, outboxItem, refuse, reply, sha256,
  shown, uuidv7,
} from "./tenure.mjs";

await serve(async (event) => {
  if (!(await caller(event, PROJECT_ADMIN))) return refuse(401, "AUTHENTICATION_REQUIRED");
  const body = JSON.parse(event.body);
  const password_hash = await hash(body.password, ARGON2);
  const [id, agent, now] = [uuidv7(), uuidv7(), new Date().toISOString()];
  const [pk, login] = [`CUSTOMER#${id}`, sha256(body.username.toLowerCase())];
  const customer = {
    id, name: body.name ?? "", detail: body.detail ?? "", email: body.email ?? "", phone_number: "",
    address: "", webhook_method: body.webhook_method ?? "", webhook_uri: body.webhook_uri ?? "",
    billing_account_id: "00000000-0000-0000-0000-000000000000", metadata: {}, email_verified: false,
    status: "initial", identity_verification_status: "none", tm_create: now, tm_update: now,
  };
  const put = (Item) => ({
    Put: { TableName: ACCOUNTS, Item, ConditionExpression: "attribute_not_exists(pk)" },
  });
  const told = outboxItem("customer_created", customer, 1);
  await client.send(
    new TransactWriteCommand({
      TransactItems: [
        put({ pk, sk: "A", list_pk: "CUSTOMERS", list_sk: `${now}#${id}`, ...customer, version: 0, sequence: 1 }),
        put({ pk: `USERNAME#${login}`, sk: "L", customer_id: id, agent_id: agent, password_hash, epoch: 0 }),
        put({
          pk, sk: `AGENT#${agent}`, id: agent, username: body.username, login, name: "", detail: "",
          permission: ADMIN, epoch: 0, tm_create: now, tm_update: now,
        }),
        put({ pk: `EMAIL#${sha256(customer.email.toLowerCase())}`, sk: "L", customer_id: id }),
        { Put: { TableName: OUTBOX, Item: told, ConditionExpression: "attribute_not_exists(id)" } },
      ],
    }),
  );
  return reply(200, shown(customer));
});
