"""GET /v1.0/customers/{id}"""

from tenure import PROJECT_ADMIN, caller, get, refuse, reply, serve, shown


def handle(event):
    if not caller(event, PROJECT_ADMIN):
        return refuse(401, "AUTHENTICATION_REQUIRED")
    customer = get(f"CUSTOMER#{event['pathParameters']['id']}", "A")
    return reply(200, shown(customer)) if customer else refuse(404, "CUSTOMER_NOT_FOUND")


serve(handle)
