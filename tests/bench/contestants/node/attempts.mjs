// Attempts at passwords, counted by user name and by network before a hash is computed.
import { UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { ACCOUNTS, client, sha256 } from "./tenure.mjs";

export const throttleKey = (username) => ({ pk: `THROTTLE#${sha256(username.toLowerCase())}`, sk: "T" });

const count = (Key, most, seconds) => {
  const now = Math.floor(Date.now() / 1000);
  return client.send(
    new UpdateCommand({
      TableName: ACCOUNTS,
      Key,
      UpdateExpression: "ADD attempts :one SET last_at = :now, expires_at = :expires",
      ConditionExpression: "attribute_not_exists(pk) OR attempts < :most OR expires_at < :now",
      ExpressionAttributeValues: { ":one": 1, ":most": most, ":now": now, ":expires": now + seconds },
    }),
  );
};

export const countAttempt = (username, network) =>
  Promise.all([
    count(throttleKey(username), 10, 86400),
    count({ pk: `NETWORK#${sha256(network)}`, sk: String(Math.floor(Date.now() / 3600000)) }, 100, 7200),
  ]);
