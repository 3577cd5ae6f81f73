import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import { serve } from "./lambda.mjs";
import { ACCOUNTS, PROJECT_ADMIN, caller, client, refuse, reply, shown } from "./tenure.mjs";

await serve(async (event) => {
  if (!(await caller(event, PROJECT_ADMIN))) return refuse(401, "AUTHENTICATION_REQUIRED");
  const page = await client.send(
    new QueryCommand({
      TableName: ACCOUNTS,
      IndexName: "list",
      KeyConditionExpression: "list_pk = :list",
      ExpressionAttributeValues: { ":list": "CUSTOMERS" },
      ScanIndexForward: false,
      Limit: Number(event.queryStringParameters?.page_size ?? 100),
    }),
  );
  const result = page.Items.map(shown);
  return reply(200, { result, next_page_token: page.LastEvaluatedKey ? result.at(-1).tm_create : "" });
});
