import { randomBytes } from "node:crypto";
import { TransactWriteCommand } from "@aws-sdk/lib-dynamodb";
import { verify } from "@node-rs/argon2";
import { countAttempt, throttleKey } from "./attempts.mjs";
import { serve } from "./lambda.mjs";
import { ACCOUNTS, ADMIN, ARGON2, client, get, refuse, reply, sha256 } from "./tenure.mjs";

await serve(async (event) => {
  const { username, password } = JSON.parse(event.body);
  const [lock] = await Promise.all([
    get(`USERNAME#${sha256(username.toLowerCase())}`, "L"),
    countAttempt(username, event.requestContext.http.sourceIp),
  ]);
  if (!lock || !(await verify(lock.password_hash, password, ARGON2))) return refuse(401, "INVALID_CREDENTIALS");
  const token = randomBytes(32).toString("base64url");
  const expires = Date.now() + 7 * 86400_000;
  await client.send(
    new TransactWriteCommand({
      TransactItems: [
        {
          Put: {
            TableName: ACCOUNTS,
            Item: {
              pk: `TOKEN#${sha256(token)}`, sk: "L", customer_id: lock.customer_id, agent_id: lock.agent_id,
              username, permission: ADMIN, tm_expire: new Date(expires).toISOString(),
              expires_at: Math.floor(expires / 1000),
            },
            ConditionExpression: "attribute_not_exists(pk)",
          },
        },
        {
          ConditionCheck: {
            TableName: ACCOUNTS,
            Key: { pk: `CUSTOMER#${lock.customer_id}`, sk: "A" },
            ConditionExpression: "#status <> :deleted",
            ExpressionAttributeNames: { "#status": "status" },
            ExpressionAttributeValues: { ":deleted": "deleted" },
          },
        },
        { Delete: { TableName: ACCOUNTS, Key: throttleKey(username) } },
      ],
    }),
  );
  return reply(200, { username, token });
});
