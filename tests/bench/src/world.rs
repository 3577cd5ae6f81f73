//! The accounts that are in the tables before functions are measured, and the requests to the functions.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use sam_local::{OWNER, Tables};
use serde_json::{Value, json};
use shared::app::App;
use shared::domain::Actor;
use shared::domain::Login;
use shared::domain::PlainToken;
use shared::domain::customer::Profile;
use shared::domain::digest::sha256;
use shared::domain::event::EventType;
use shared::domain::known_networks::NetworkHash;
use shared::domain::network::Network;
use shared::domain::value::PasswordHash;
use shared::domain::webhook::WebhookSecret;
use shared::domain::{Agent, Customer, FirstAdmin, Id, Registration, Session, Timestamp, Username};
use shared::password;
use shared::platform::clock::Clock;
use shared::store::Store;
use shared::store::customer::NewCustomer;
use shared::store::session::VerifiedLogin;

use crate::Result;
use crate::endpoint::{Endpoint, Request};
use crate::recorder::Recorder;

const PASSWORD: &str = "ee5f3d14-5ac6-11ed-808e-6f7d676a444b";
const ACCOUNTS: &str = "AccountsTable";

/// Maximum number of items that are loaded into a table at once.
const LOAD: usize = 10_000;

/// The tables with their contents, and the accounts that the requests are about.
pub(crate) struct World {
    tables: Tables,
    app: App,
    client: Client,
    /// Store whose writes go to the recorder, from which they are loaded into the tables in bulk.
    loading: Store,
    recorder: Recorder,
    hash: PasswordHash,
    /// The project admin, who sends the requests to get, list and create customers.
    admin: Account,
    /// The customer that the requests to [`Endpoint::Get`] read.
    customer: Account,
    count: AtomicU32,
}

/// An account with its first agent, who is logged in.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) id: Id<Customer>,
    username: String,
    pub(crate) token: String,
}

impl World {
    /// Creates the project account with its admin, and a few customers.
    pub(crate) async fn new(tables: &Tables) -> Result<Self> {
        let client = client(tables.process(OWNER, "bench").http_client());
        let recorder = Recorder::default();
        let [store, loading] =
            [client.clone(), self::client(recorder.http_client())].map(|client| {
                let [accounts, outbox, erasures] =
                    [ACCOUNTS, "OutboxTable", "ErasuresTable"].map(str::to_owned);
                Store::new(client, accounts, outbox, erasures)
            });
        let app = App::new(store, Clock::from_environment().map_err(told)?);
        let hash = password::hash(&serde_json::from_value(json!(PASSWORD))?).map_err(told)?;
        let nobody = Account {
            id: Customer::PROJECT,
            username: "operator@example.com".to_owned(),
            token: String::new(),
        };
        let mut world = Self {
            tables: tables.clone(),
            app,
            client,
            loading,
            recorder,
            hash,
            admin: nobody.clone(),
            customer: nobody,
            count: AtomicU32::new(0),
        };
        world.admin = world.project().await?;
        world.fill(50).await?;
        world.customer = world.account().await?;
        Ok(world)
    }

    /// Adds `count` customers.
    pub(crate) async fn fill(&self, count: u32) -> Result<()> {
        for number in 1..=count {
            self.customer(&self.loading).await?;
            if number % 1_000 == 0 || number == count {
                for (table, items) in self.recorder.take() {
                    self.tables.load(&table, items)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the next request to an endpoint.
    pub(crate) async fn request(&self, endpoint: Endpoint) -> Result<Value> {
        let number = self.next();
        let admin = Some(self.admin.token.clone());
        let request = match endpoint {
            Endpoint::Get => Request {
                method: "GET",
                route: "/v1.0/customers/{id}",
                path: format!("/v1.0/customers/{}", self.customer.id),
                token: admin,
                id: Some(self.customer.id.to_string()),
                ..Request::default()
            },
            Endpoint::List => Request {
                method: "GET",
                route: "/v1.0/customers",
                path: "/v1.0/customers".to_owned(),
                token: admin,
                page_size: Some(20),
                ..Request::default()
            },
            Endpoint::Create => Request {
                method: "POST",
                route: "/v1.0/customers",
                path: "/v1.0/customers".to_owned(),
                token: admin,
                body: Some(new_customer(number)),
                ..Request::default()
            },
            Endpoint::Login => Request {
                method: "POST",
                route: "/auth/login",
                path: "/auth/login".to_owned(),
                // With an agent of its own: an agent with too many sessions loses the oldest.
                body: Some(
                    json!({"username": self.account().await?.username, "password": PASSWORD}),
                ),
                ..Request::default()
            },
            Endpoint::Unregister => Request {
                method: "POST",
                route: "/auth/unregister",
                path: "/auth/unregister".to_owned(),
                token: Some(self.account().await?.token),
                body: Some(json!({"password": PASSWORD})),
                ..Request::default()
            },
        };
        Ok(Request { source: number, ..request }.event())
    }

    /// Returns a request that unregisters an account at once.
    pub(crate) fn leave(&self, account: &Account) -> Value {
        let body =
            json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
        let request = Request {
            method: "POST",
            route: "/auth/unregister",
            path: "/auth/unregister".to_owned(),
            token: Some(account.token.clone()),
            body: Some(body),
            source: self.next(),
            ..Request::default()
        };
        request.event()
    }

    /// Creates a customer whose admin is logged in.
    pub(crate) async fn account(&self) -> Result<Account> {
        let (customer, agent) = self.customer(&self.app.store).await?;
        self.log_in(customer.id, &agent).await
    }

    /// Adds `count` items of about a kilobyte each to an account.
    pub(crate) fn give(&self, account: &Account, count: u32) -> Result<()> {
        let thing = |number: u32| {
            let id = uuid::Uuid::from_u128(u128::from(number) + 1);
            json!({
                "pk": {"S": format!("CUSTOMER#{}", account.id)},
                "sk": {"S": format!("NUMBER#{id}")},
                "data": {"S": "x".repeat(850)},
            })
        };
        for start in (0..count).step_by(LOAD) {
            let things = (start..count).take(LOAD).map(thing).collect();
            self.tables.load(ACCOUNTS, things)?;
        }
        Ok(())
    }

    async fn project(&self) -> Result<Account> {
        let now = self.app.now();
        let username: Username = serde_json::from_value(json!("operator@example.com"))?;
        let admin = FirstAdmin { id: self.app.new_id(now), username };
        let Registration { customer, admin: agent } = Customer::register_project(admin, now);
        let login = Login::new(customer.id, &agent, self.hash.clone());
        let new =
            NewCustomer { customer: &customer, agent: &agent, login: &login, invitation: None };
        self.app.store.insert_project(&new).await.map_err(told)?;
        self.log_in(customer.id, &agent).await
    }

    async fn customer(&self, store: &Store) -> Result<(Customer, Agent)> {
        let now = self.app.now();
        let mut body = new_customer(self.next());
        let username: Username = serde_json::from_value(body["username"].take())?;
        let body = body.as_object_mut().ok_or("no object")?;
        body.remove("username");
        body.remove("password");
        let profile: Profile = serde_json::from_value(json!(body))?;
        let admin = FirstAdmin { id: self.app.new_id(now), username };
        let secret = WebhookSecret::new(self.app.new_secret());
        let Registration { customer, admin: agent } =
            Customer::register(self.app.new_id(now), profile, secret, admin, now);
        let login = Login::new(customer.id, &agent, self.hash.clone());
        let new =
            NewCustomer { customer: &customer, agent: &agent, login: &login, invitation: None };
        let event = self.app.event(
            EventType::CustomerCreated,
            customer.id,
            Vec::new(),
            Actor::BOOTSTRAP,
            now,
        );
        store.insert_customer(&new, &event).await.map_err(told)?;
        Ok((customer, agent))
    }

    /// Logs an agent in. Stores the session as our functions keep it. Also stores two items for the other
    /// contestants: the session by the hash of its token, and the password's hash by the hash of the user
    /// name.
    async fn log_in(&self, customer: Id<Customer>, agent: &Agent) -> Result<Account> {
        let token = PlainToken::session(customer, agent.id, agent.login, self.app.new_secret());
        let session = Session::new(token.session_id(), agent.id, agent.epoch, self.app.now());
        let tm_expire = session.tm_expire;
        let login = Login::new(customer, agent, self.hash.clone());
        let network = NetworkHash::new(&Network::of("127.0.0.1"), agent.login);
        let verified =
            VerifiedLogin { key: agent.login, login: &login, network: &network, rehash: None };
        self.app.store.insert_session(&session, &verified).await.map_err(told)?;
        let hash = token.hash();
        let username = agent.username.expose();
        self.put(json!({
            "pk": format!("TOKEN#{hash}"),
            "sk": "L",
            "customer_id": customer,
            "agent_id": agent.id,
            "username": username,
            "permission": agent.permission,
            "tm_expire": tm_expire,
        }))
        .await?;
        self.put(json!({
            "pk": format!("USERNAME#{}", sha256(&username.to_lowercase())),
            "sk": "L",
            "customer_id": customer,
            "agent_id": agent.id,
            "password_hash": self.hash.expose(),
            "epoch": 0,
        }))
        .await?;
        Ok(Account {
            id: customer,
            username: username.to_owned(),
            token: token.expose().to_owned(),
        })
    }

    async fn put(&self, item: Value) -> Result<()> {
        let item = serde_dynamo::to_item(item)?;
        self.client.put_item().table_name(ACCOUNTS).set_item(Some(item)).send().await?;
        Ok(())
    }

    fn next(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

fn client(http: SharedHttpClient) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .http_client(http);
    Client::from_conf(config.build())
}

/// Returns the body of a request that creates a customer: the example from the description of the original
/// API.
fn new_customer(number: u32) -> Value {
    json!({
        "username": format!("bench{number}"),
        "password": PASSWORD,
        "name": "Test Company",
        "detail": "Test customer account",
        "email": format!("bench{number}@test-company.com"),
        "webhook_method": "POST",
        "webhook_uri": "https://webhooks.test-company.com/voipbin",
    })
}

/// Returns an error's cause as text.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(error: shared::domain::Error) -> String {
    error.cause().to_owned()
}

/// Returns the machine's time, which the functions use, too.
pub(crate) fn now() -> Result<Timestamp> {
    Ok(Clock::from_environment().map_err(told)?.now())
}

/// Timeout of every function.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(15);
