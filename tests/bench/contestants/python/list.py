"""GET /v1.0/customers"""

from tenure import ACCOUNTS, PROJECT_ADMIN, caller, client, from_item, refuse, reply, serve, shown


def handle(event):
    if not caller(event, PROJECT_ADMIN):
        return refuse(401, "AUTHENTICATION_REQUIRED")
    page = client.query(
        TableName=ACCOUNTS,
        IndexName="list",
        KeyConditionExpression="list_pk = :list",
        ExpressionAttributeValues={":list": {"S": "CUSTOMERS"}},
        ScanIndexForward=False,
        Limit=int(event.get("queryStringParameters", {}).get("page_size", 100)),
    )
    rows = [shown(from_item(item)) for item in page["Items"]]
    following = rows[-1]["tm_create"] if "LastEvaluatedKey" in page else ""
    return reply(200, {"result": rows, "next_page_token": following})


serve(handle)
