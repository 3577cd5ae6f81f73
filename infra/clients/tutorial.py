"""The README's tutorial, with the client that openapi-python-client generates: see infra/check_clients.py.

    python3 infra/clients/tutorial.py http://127.0.0.1:3000
"""

import sys
import uuid
from typing import TypeVar

from tenure_client import AuthenticatedClient, Client
from tenure_client.api.access_keys import create_access_key, delete_access_key, list_access_keys
from tenure_client.api.agents import create_agent, get_agent, list_agents
from tenure_client.api.customers import create_customer, get_customer, list_customers, update_customer
from tenure_client.api.leaving import recover, unregister
from tenure_client.api.own_account import get_own_customer, update_own_customer_metadata
from tenure_client.api.resources import create_resource, get_resource, list_resources
from tenure_client.api.sessions import login
from tenure_client.models import (
    AccessKey,
    AccessKeyList,
    AccessKeyWithToken,
    Agent,
    AgentList,
    CreateAccessKeyRequest,
    CreateAgentRequest,
    CreateCustomerRequest,
    CreateResourceRequest,
    Customer,
    CustomerList,
    CustomerStatus,
    Data,
    ErrorResponse,
    FrozenAccount,
    InvalidField,
    LoginRequest,
    Metadata,
    OwnCustomer,
    Permission,
    Resource,
    ResourceKind,
    ResourceList,
    SessionWithToken,
    UnregisterRequest,
    UpdateCustomerRequest,
    WebhookMethod,
)

T = TypeVar("T")
PASSWORD = "ee5f3d14-5ac6-11ed-808e-6f7d676a444b"


def expect(kind: type[T], answer: object) -> T:
    """Returns `answer` if it is a `kind`; fails otherwise, as the answer may be an error."""
    assert isinstance(answer, kind), f"{kind.__name__} expected: {answer}"
    return answer


def session(url: str, username: str, password: str) -> AuthenticatedClient:
    body = LoginRequest(username=username, password=password)
    with Client(url, raise_on_unexpected_status=True) as client:
        token = expect(SessionWithToken, login.sync(client=client, body=body)).token
    return AuthenticatedClient(url, token, raise_on_unexpected_status=True)


def idempotency_key() -> str:
    return f'"{uuid.uuid4()}"'


def create(operator: AuthenticatedClient, username: str) -> Customer:
    body = CreateCustomerRequest(
        username=username,
        password=PASSWORD,
        name="Test Company",
        email=f"mail@{username}.example",
        webhook_method=WebhookMethod.POST,
        webhook_uri="https://webhooks.test-company.com/voipbin",
    )
    key = idempotency_key()
    created = expect(Customer, create_customer.sync(client=operator, body=body, idempotency_key=key))
    again = expect(Customer, create_customer.sync(client=operator, body=body, idempotency_key=key))
    assert again == created, "a key makes one customer"
    return created


def operate(operator: AuthenticatedClient, customer: Customer) -> None:
    newer = create(operator, f"newer-{uuid.uuid4().hex[:8]}")
    first = expect(CustomerList, list_customers.sync(client=operator, page_size=1))
    token = first.next_page_token
    second = expect(CustomerList, list_customers.sync(client=operator, page_size=1, page_token=token))
    assert [row.id for row in first.result + second.result] == [newer.id, customer.id]
    found = expect(CustomerList, list_customers.sync(client=operator, email=str(customer.email)))
    assert [row.id for row in found.result] == [customer.id]

    got = get_customer.sync_detailed(customer.id, client=operator)
    assert got.parsed == customer
    change = UpdateCustomerRequest(phone_number="+15551234567")
    etag = got.headers["etag"]
    changed = expect(Customer, update_customer.sync(customer.id, client=operator, body=change, if_match=etag))
    assert (changed.phone_number, changed.name) == ("+15551234567", customer.name)
    stale = expect(ErrorResponse, update_customer.sync(customer.id, client=operator, body=change, if_match=etag))
    assert stale.error.reason == "ETAG_MISMATCH"

    wrong = UpdateCustomerRequest(email="nobody")
    refused = expect(ErrorResponse, update_customer.sync(customer.id, client=operator, body=wrong))
    assert refused.error.details, "an error names the field"
    assert expect(InvalidField, refused.error.details[0]).field == "email"
    missing = expect(ErrorResponse, get_customer.sync(uuid.uuid4(), client=operator))
    assert missing.error.reason == "CUSTOMER_NOT_FOUND"


def own_account(admin: AuthenticatedClient, customer: Customer) -> None:
    own = expect(OwnCustomer, get_own_customer.sync(client=admin))
    assert own.id == customer.id and own.webhook_secret.startswith("whsec_")
    switched = update_own_customer_metadata.sync(client=admin, body=Metadata(rtp_debug=True))
    assert expect(Customer, switched).metadata.rtp_debug is True


def access_keys(admin: AuthenticatedClient, url: str) -> None:
    body = CreateAccessKeyRequest(name="CI", expire=2592000)
    key = expect(AccessKeyWithToken, create_access_key.sync(client=admin, body=body))
    program = AuthenticatedClient(url, key.token, raise_on_unexpected_status=True)
    keys = expect(AccessKeyList, list_access_keys.sync(client=program))
    assert [row.token_prefix for row in keys.result] == [key.token[:11]]
    assert keys.result[0].tm_last_use is None or keys.result[0].tm_last_use >= key.tm_create
    deleted = expect(AccessKey, delete_access_key.sync(key.id, client=admin))
    assert deleted.tm_delete is not None
    ended = expect(ErrorResponse, list_access_keys.sync(client=program))
    assert ended.error.reason == "INVALID_CREDENTIALS"


def agents(admin: AuthenticatedClient, username: str) -> None:
    body = CreateAgentRequest(
        username=username, password="annes own password", name="Ann", permission=Permission.CUSTOMER_MANAGER
    )
    ann = expect(Agent, create_agent.sync(client=admin, body=body))
    assert get_agent.sync(ann.id, client=admin) == ann
    team = expect(AgentList, list_agents.sync(client=admin))
    assert [row.permission for row in team.result] == [Permission.CUSTOMER_MANAGER, Permission.CUSTOMER_ADMIN]


def resources(admin: AuthenticatedClient) -> None:
    data = Data.from_dict({"number": "+15551234567"})
    body = CreateResourceRequest(name="Front desk", data=data)
    number = expect(Resource, create_resource.sync(ResourceKind.NUMBERS, client=admin, body=body))
    assert number.data["number"] == "+15551234567"
    assert get_resource.sync(ResourceKind.NUMBERS, number.id, client=admin) == number
    page = expect(ResourceList, list_resources.sync(ResourceKind.NUMBERS, client=admin))
    assert page.result == [number]


def leave_and_stay(admin: AuthenticatedClient) -> None:
    leaving = unregister.sync(client=admin, body=UnregisterRequest(password=PASSWORD))
    frozen = expect(Customer, leaving)
    assert frozen.status == CustomerStatus.FROZEN and frozen.tm_deletion_scheduled is not None
    refused = expect(ErrorResponse, list_agents.sync(client=admin))
    assert refused.error.reason == "ACCOUNT_FROZEN" and refused.error.details
    assert expect(FrozenAccount, refused.error.details[0]).deletion_effective_at is not None
    recovered = expect(Customer, recover.sync(client=admin))
    assert recovered.status != CustomerStatus.FROZEN and recovered.tm_deletion_scheduled is None


def main(url: str) -> None:
    operator = session(url, "admin@localhost", "local-admin-password")
    username = f"test-{uuid.uuid4().hex[:8]}"
    customer = create(operator, username)
    operate(operator, customer)
    admin = session(url, username, PASSWORD)
    own_account(admin, customer)
    access_keys(admin, url)
    agents(admin, f"ann-{username}")
    resources(admin)
    leave_and_stay(admin)


main(sys.argv[1])
