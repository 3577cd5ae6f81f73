import { TransactWriteCommand } from "@aws-sdk/lib-dynamodb";
import { verify } from "@node-rs/argon2";
import { countAttempt, throttleKey } from "./attempts.mjs";
import { serve } from "./lambda.mjs";
import {
  ACCOUNTS, ADMIN, ARGON2, OUTBOX, caller, client, get, outboxItem, refuse, reply, sha256, shown,
} from "./tenure.mjs";

await serve(async (event) => {
  const session = await caller(event, ADMIN);
  if (!session) return refuse(401, "AUTHENTICATION_REQUIRED");
  const { password } = JSON.parse(event.body);
  const [lock, before] = await Promise.all([
    get(`USERNAME#${sha256(session.username.toLowerCase())}`, "L"),
    get(`CUSTOMER#${session.customer_id}`, "A"),
    countAttempt(session.username, event.requestContext.http.sourceIp),
  ]);
  if (!lock || !(await verify(lock.password_hash, password, ARGON2))) return refuse(401, "INVALID_CREDENTIALS");
  const now = new Date();
  const due = new Date(now.getTime() + 30 * 86400_000).toISOString();
  const after = { ...before, status: "frozen", tm_deletion_scheduled: due, tm_update: now.toISOString() };
  const told = outboxItem("customer_frozen", after, before.sequence + 1);
  await client.send(
    new TransactWriteCommand({
      TransactItems: [
        {
          Update: {
            TableName: ACCOUNTS,
            Key: { pk: before.pk, sk: before.sk },
            UpdateExpression:
              "SET #status = :frozen, frozen_from = :from, tm_deletion_scheduled = :due, tm_freeze = :now, " +
              "tm_update = :now, due_pk = :queue, due_sk = :place ADD version :one, #sequence :one",
            ConditionExpression: "#status = :from AND version = :version",
            ExpressionAttributeNames: { "#status": "status", "#sequence": "sequence" },
            ExpressionAttributeValues: {
              ":frozen": "frozen", ":from": before.status, ":due": due, ":now": after.tm_update,
              ":queue": `DUE#${parseInt(before.id.slice(-2), 16) % 4}`, ":place": `${due}#${before.id}`,
              ":one": 1, ":version": before.version,
            },
          },
        },
        { Put: { TableName: OUTBOX, Item: told, ConditionExpression: "attribute_not_exists(id)" } },
        { Delete: { TableName: ACCOUNTS, Key: throttleKey(session.username) } },
      ],
    }),
  );
  return reply(200, shown(after));
});
