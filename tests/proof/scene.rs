//! Scenes: states of the tables, each at one time, from which operations start.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use sam_local::Snapshot;
use serde_json::json;
use shared::domain::lifecycle::GRACE;
use shared::domain::{Credential, Timestamp};

use crate::customer::new_customer;
use crate::endpoints::{
    accesskey_create, admin_bootstrap, agent_create, auth_login, customer_create, own_update,
    participant_set,
};
use crate::mailed;
use crate::operations;
use crate::state::State;
use crate::world::{
    ACCOUNTS, Answer, OUTBOX, Operation, World, endpoint, event, sent, without_token,
};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
const ADMIN: &str = "admin@localhost";
pub(crate) const CUSTOMER: &str = "test1";
/// E-mail address of the pending sign-up.
pub(crate) const NEWCOMER: &str = "newcomer@example.com";
/// E-mail address that two customers have in [`Scene::contested`].
pub(crate) const SHARED: &str = "shared@example.com";

/// Registered participants (systems that take part in erasures), and whether each is required.
pub(crate) const PARTICIPANTS: [(&str, bool); 3] =
    [("carrier", true), ("files", true), ("tags", false)];

/// Time that each participant has to answer a request to erase.
pub(crate) const TIMEOUT: Duration = Duration::from_hours(72);

/// Value that stands for a customer's key in the index by name as an earlier version of the program wrote it.
pub(crate) const OUTDATED: &str = "of an earlier version";

/// A project and its customer in one state, at one time.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// Token of the project admin: of a session, or of an access key.
    pub(crate) admin: String,
    /// The customer's id.
    pub(crate) customer: String,
    /// Token of a session of the customer's first agent.
    pub(crate) session: String,
    /// The id of an access key of the customer.
    pub(crate) key: String,
    /// The id of one of the customer's resources of the kind `numbers`.
    pub(crate) number: String,
    /// The id of a billing account of the customer; empty if there is none.
    pub(crate) billing_account: String,
    /// The id of the customer's first agent, an admin.
    pub(crate) first_agent: String,
    /// The id of the customer's second agent, who is no admin.
    pub(crate) agent: String,
    /// Token of a session of the second agent or, in scenes with a second account, of that account's agent; empty if
    /// there is none.
    pub(crate) agent_session: String,
    /// A token that was mailed to prove the customer's address, or to unregister the account; empty if there is none.
    pub(crate) mailed: String,
    /// Tokens that were mailed to set the first agent's forgotten password; empty if there are none.
    pub(crate) resets: [String; 2],
    /// A token that was mailed to complete a sign-up; empty if there is none.
    pub(crate) signed_up: String,
    /// The ticket of the last unregistration; empty if there was none.
    pub(crate) ticket: String,
    /// The id of a second customer with the same unverified e-mail address; empty if there is none.
    pub(crate) rival: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Timestamp,
}

impl Scene {
    /// Returns an active customer with two agents, a session, two access keys and two phone numbers.
    pub(crate) async fn active(world: &World) -> Self {
        let nothing = world.tables.snapshot().unwrap();
        let mut scene = Self {
            name: "active",
            admin: String::new(),
            customer: String::new(),
            session: String::new(),
            key: String::new(),
            number: String::new(),
            billing_account: String::new(),
            first_agent: String::new(),
            agent: String::new(),
            agent_session: String::new(),
            mailed: String::new(),
            resets: Default::default(),
            signed_up: String::new(),
            ticket: String::new(),
            rival: String::new(),
            snapshot: nothing,
            now: world.now(),
        };
        let bootstrap = |_: &Self| json!({"username": ADMIN, "password": PASSWORD});
        let bootstrap = event("bootstrap", "admin_bootstrap", admin_bootstrap::handle, bootstrap);
        scene.succeed(world, &bootstrap).await;
        scene.admin = scene.succeed(world, &login(ADMIN)).await.text("token");
        let create =
            endpoint("create customer", "customer_create", customer_create::endpoint, |scene| {
                sent(&scene.admin).body(new_customer(CUSTOMER, PASSWORD))
            });
        scene.customer = scene.succeed(world, &create).await.text("id");
        scene.log_in(world).await;
        let owned = world.state(&scene).children;
        let agent = owned.keys().find_map(|sk| sk.strip_prefix("AGENT#"));
        agent.expect("an agent").clone_into(&mut scene.first_agent);
        for _ in 0..2 {
            scene.key = scene.succeed(world, &operations::create_key()).await.text("id");
            scene.number = scene.succeed(world, &operations::create_number()).await.text("id");
        }
        let agent = endpoint("create agent", "agent_create", agent_create::endpoint, |scene| {
            sent(&scene.session).body(json!({"username": "agent1", "password": PASSWORD}))
        });
        scene.agent = scene.succeed(world, &agent).await.text("id");
        scene.snapshot = world.tables.snapshot().unwrap();
        cheapen_passwords(&mut scene.snapshot);
        scene
    }

    /// Returns the customer with a billing account that is not yet set as the one in use.
    pub(crate) async fn billable(world: &World) -> Self {
        let scene = Self::active(world).await;
        world.set(&scene);
        let made = scene.succeed(world, &operations::create_billing_account()).await;
        let snapshot = world.tables.snapshot().unwrap();
        Self { name: "billable", billing_account: made.text("id"), snapshot, ..scene }
    }

    /// Returns the customer with a mailed token for its address, and with a pending sign-up of [`NEWCOMER`].
    pub(crate) async fn mailed(world: &World) -> Self {
        let scene = Self::active(world).await;
        world.set(&scene);
        let own = event(
            "mail",
            "mail_send",
            mailed::handle,
            |scene| json!({"email": format!("{CUSTOMER}@example.com"), "customer": scene.customer}),
        );
        let mailed = scene.succeed(world, &own).await.text("token");
        let newcomer = event("mail", "mail_send", mailed::handle, |_| json!({"email": NEWCOMER}));
        let signed_up = scene.succeed(world, &newcomer).await.text("token");
        let snapshot = world.tables.snapshot().unwrap();
        Self { name: "mailed", mailed, signed_up, snapshot, ..scene }
    }

    /// Returns the customer with a verified address, to which a link was mailed that unregisters the account.
    pub(crate) async fn linked(world: &World) -> Self {
        let scene = Self::active(world).await.then("linked", world, &operations::verify()).await;
        world.set(&scene);
        let mail = event("mail", "mail_send", mailed::handle, |scene| {
            let email = format!("{CUSTOMER}@example.com");
            json!({"email": email, "customer": scene.customer, "unregisters": true})
        });
        let mailed = scene.succeed(world, &mail).await.text("token");
        Self { mailed, snapshot: world.tables.snapshot().unwrap(), ..scene }
    }

    /// Returns the customer with a second admin, who is logged in.
    pub(crate) async fn two_admins(world: &World) -> Self {
        let scene = Self::active(world).await;
        let scene = scene.then("two admins", world, &operations::promote_agent()).await;
        world.set(&scene);
        let agent_session = scene.succeed(world, &login("agent1")).await.text("token");
        Self { agent_session, snapshot: world.tables.snapshot().unwrap(), ..scene }
    }

    /// Returns the customer whose first agent has forgotten the password and was mailed two links to set a
    /// new one.
    pub(crate) async fn forgotten(world: &World) -> Self {
        let scene = Self::active(world).await;
        Self::with_resets("forgotten", world, scene).await
    }

    /// Returns the active customer, two minutes after its events were published to the bus.
    pub(crate) async fn published(world: &World) -> Self {
        let scene = Self::active(world).await.later(2);
        scene.then("published", world, &operations::publish()).await.later(2)
    }

    /// Returns the customer frozen, within its grace period. Its first agent was mailed two links to set a
    /// new password.
    pub(crate) async fn forgotten_and_frozen(world: &World) -> Self {
        let scene = Self::frozen(world).await;
        Self::with_resets("forgotten and frozen", world, scene).await
    }

    async fn with_resets(name: &'static str, world: &World, scene: Self) -> Self {
        world.set(&scene);
        let mail = event(
            "mail",
            "mail_send",
            mailed::handle,
            |scene| json!({"email": "ann@example.org", "customer": scene.customer, "agent": scene.first_agent}),
        );
        let [one, other] = [(); 2].map(|()| scene.succeed(world, &mail));
        let resets = [one.await.text("token"), other.await.text("token")];
        Self { name, resets, snapshot: world.tables.snapshot().unwrap(), ..scene }
    }

    /// Returns the customer after it has replaced its verified address by [`SHARED`], which another customer
    /// has, too. A token to prove the new address was mailed to it.
    pub(crate) async fn contested(world: &World) -> Self {
        let mut scene =
            Self::active(world).await.then("verified", world, &operations::verify()).await;
        let change = |session: fn(&Self) -> &str| {
            endpoint("change address", "own_update", own_update::endpoint, move |scene| {
                let body = json!({"email": SHARED, "current_password": PASSWORD});
                sent(session(scene)).body(body)
            })
        };
        world.set(&scene);
        scene.succeed(world, &change(|scene| &scene.session)).await;
        let create =
            endpoint("create rival", "customer_create", customer_create::endpoint, |scene| {
                sent(&scene.admin).body(new_customer("rival", PASSWORD))
            });
        scene.rival = scene.succeed(world, &create).await.text("id");
        scene.agent_session = scene.succeed(world, &login("rival")).await.text("token");
        scene.succeed(world, &change(|scene| &scene.agent_session)).await;
        let mail = event(
            "mail",
            "mail_send",
            mailed::handle,
            |scene| json!({"email": SHARED, "customer": scene.customer}),
        );
        scene.mailed = scene.succeed(world, &mail).await.text("token");
        // Lets background work of the changes of address end, or its calls would be taken for calls of the
        // first race.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut snapshot = world.tables.snapshot().unwrap();
        cheapen_passwords(&mut snapshot);
        Self { name: "contested", snapshot, ..scene }
    }

    /// Returns the customer as an earlier version of the program wrote it, with another key in the index by name.
    pub(crate) async fn outdated(world: &World) -> Self {
        let mut scene = Self::active(world).await;
        for item in scene.snapshot.items_mut(ACCOUNTS) {
            if !item["name_key"].is_null() {
                item["name_key"] = json!({"S": OUTDATED});
            }
        }
        Self { name: "outdated", ..scene }
    }

    /// Returns the customer frozen by its owner, within its grace period.
    pub(crate) async fn frozen(world: &World) -> Self {
        Self::active(world).await.then("frozen", world, &operations::unregister()).await
    }

    /// Returns the customer frozen, with a hold that keeps it from being deleted.
    pub(crate) async fn held(world: &World) -> Self {
        Self::frozen(world).await.then("held", world, &operations::hold()).await
    }

    /// Returns the customer frozen by an operator.
    pub(crate) async fn seized(world: &World) -> Self {
        Self::active(world).await.then("seized", world, &operations::freeze()).await
    }

    /// Returns the customer suspended.
    pub(crate) async fn suspended(world: &World) -> Self {
        Self::active(world).await.then("suspended", world, &operations::suspend()).await
    }

    /// Returns the active customer with two holds, which keep it from being deleted.
    pub(crate) async fn preserved(world: &World) -> Self {
        let scene = Self::active(world).await.then("held", world, &operations::hold()).await;
        scene.then("preserved", world, &operations::second_hold()).await
    }

    /// Returns the frozen customer a microsecond before its deletion is due, with a new session.
    pub(crate) async fn nearly_due(world: &World) -> Self {
        let mut scene = Self::frozen(world).await;
        let due = scene.now.plus(GRACE);
        scene.now = Timestamp::from_micros(due.millis() * 1000 - 1).unwrap();
        world.set(&scene);
        scene.log_in(world).await;
        Self { name: "nearly due", snapshot: world.tables.snapshot().unwrap(), ..scene }
    }

    /// Returns the frozen customer at the time at which its deletion is due.
    pub(crate) async fn due(world: &World) -> Self {
        let scene = Self::nearly_due(world).await;
        Self { name: "due", now: scene.now.plus(Duration::from_micros(1)), ..scene }
    }

    /// Returns the customer deleted and not yet purged, a minute after the deletion.
    pub(crate) async fn deleted(world: &World) -> Self {
        let scene = Self::active(world).await;
        let scene = scene.then("deleted", world, &operations::immediate()).await;
        Self { now: scene.now.plus(Duration::from_mins(1)), ..scene }
    }

    /// Returns the customer deleted and not yet purged, a minute after the deletion, with [`PARTICIPANTS`] registered.
    /// The admin's token is that of an access key, since a session would expire.
    pub(crate) async fn participating(world: &World) -> Self {
        let scene = Self::registered(world).await;
        let scene = scene.then("participating", world, &operations::immediate()).await;
        Self { now: scene.now.plus(Duration::from_mins(1)), ..scene }
    }

    /// Returns the customer active, with [`PARTICIPANTS`] registered.
    pub(crate) async fn registered(world: &World) -> Self {
        let mut scene = Self::active(world).await;
        world.set(&scene);
        let key = endpoint("create key", "accesskey_create", accesskey_create::endpoint, |scene| {
            sent(&scene.admin).body(json!({"expire": 90 * 86_400}))
        });
        scene.admin = scene.succeed(world, &key).await.text("token");
        for (name, required) in PARTICIPANTS {
            let set = participant_set::endpoint;
            let register = endpoint("register", "participant_set", set, move |scene| {
                let body = json!({"required": required, "timeout": TIMEOUT.as_secs()});
                sent(&scene.admin).name(name).body(body)
            });
            scene.succeed(world, &register).await;
        }
        Self { snapshot: world.tables.snapshot().unwrap(), ..scene }
    }

    /// Returns a deleted customer whose purge was interrupted five minutes ago: the run had claimed the customer and
    /// asked all participants when it died.
    pub(crate) async fn asked(world: &World) -> Self {
        let scene = Self::participating(world).await;
        scene.killed("asked", world, &operations::purge(), all_asked).await.later(5)
    }

    /// Returns the customer purged, five minutes after its participants were asked.
    pub(crate) async fn awaiting(world: &World) -> Self {
        let scene = Self::participating(world).await;
        scene.then("awaiting", world, &operations::purge()).await.later(5)
    }

    /// Returns the customer purged, five minutes after its participants were asked, with one required answer missing.
    pub(crate) async fn last(world: &World) -> Self {
        Self::awaiting(world).await.then("last", world, &operations::acknowledge_other()).await
    }

    /// Returns the customer purged, with one required answer missing whose deadline has passed.
    pub(crate) async fn overdue(world: &World) -> Self {
        let scene = Self::last(world).await;
        Self { name: "overdue", now: scene.now.plus(TIMEOUT), ..scene }
    }

    /// Returns the customer purged, an hour after the last required answer was recorded by a process that died before
    /// it made the final receipt.
    pub(crate) async fn settled(world: &World) -> Self {
        let scene = Self::last(world).await;
        let is_settled = |state: &State| state.rounds.awaited().is_empty();
        scene.killed("settled", world, &operations::acknowledge(), is_settled).await.later(60)
    }

    /// Returns the customer after the accounts were restored from a backup: it is active again, although it
    /// was purged. One required answer of a participant is missing.
    pub(crate) async fn restored(world: &World) -> Self {
        let backup = Self::registered(world).await;
        world.set(&backup);
        backup.succeed(world, &operations::immediate()).await;
        world.set_time(backup.now.plus(Duration::from_mins(1)));
        backup.succeed(world, &operations::purge()).await;
        backup.succeed(world, &operations::acknowledge_other()).await;
        backup.recovered("restored", world)
    }

    /// Returns a customer that is active again: the accounts were restored from a backup during its purge, when one
    /// participant had already answered.
    pub(crate) async fn restored_midway(world: &World) -> Self {
        let backup = Self::registered(world).await;
        world.set(&backup);
        backup.succeed(world, &operations::immediate()).await;
        world.set_time(backup.now.plus(Duration::from_mins(1)));
        backup.kill(world, &operations::purge(), all_asked).await;
        backup.succeed(world, &operations::acknowledge_other()).await;
        backup.recovered("restored midway", world)
    }

    /// Returns the scene ten minutes after a restore from a backup: with the accounts and the outbox of this
    /// scene, and the erasures table as it is now in `world`.
    fn recovered(self, name: &'static str, world: &World) -> Self {
        let mut snapshot = world.tables.snapshot().unwrap();
        for table in [ACCOUNTS, OUTBOX] {
            snapshot.recover(table, &self.snapshot);
        }
        Self { name, snapshot, ..self }.later(10)
    }

    /// Returns the customer after a restore from a backup and the replay that has deleted it again. It is not
    /// yet purged.
    pub(crate) async fn erased_again(world: &World) -> Self {
        let scene = Self::restored(world).await;
        scene.then("erased again", world, &operations::replay()).await.later(1)
    }

    /// Returns the scene some minutes later.
    pub(crate) fn later(self, minutes: u64) -> Self {
        Self { now: self.now.plus(Duration::from_mins(minutes)), ..self }
    }

    /// Returns the scene after a run of `operation` that was killed as soon as `is_it` held.
    async fn killed(
        self,
        name: &'static str,
        world: &World,
        operation: &Operation,
        is_it: fn(&State) -> bool,
    ) -> Self {
        world.set(&self);
        self.kill(world, operation, is_it).await;
        Self { name, snapshot: world.tables.snapshot().unwrap(), ..self }
    }

    /// Runs `operation` from the present state and kills it as soon as `is_it` holds.
    async fn kill(&self, world: &World, operation: &Operation, is_it: fn(&State) -> bool) {
        let before = world.tables.snapshot().unwrap();
        for calls in 1.. {
            world.tables.restore(&before).unwrap();
            let crash = json!([{"fault": "crash_after", "nth": calls}]);
            world.tables.set_faults(&crash).unwrap();
            let answer = world.start(0, operation, self).await;
            assert!(answer.is_none(), "{} was not killed: {answer:?}", operation.name);
            if is_it(&world.state(self)) {
                break;
            }
        }
        world.tables.set_faults(&json!([])).unwrap();
    }

    /// Logs the first agent in, and replaces the scene's session by the new one.
    async fn log_in(&mut self, world: &World) {
        self.session = self.succeed(world, &login(CUSTOMER)).await.text("token");
    }

    async fn then(self, name: &'static str, world: &World, operation: &Operation) -> Self {
        world.set(&self);
        let answer = self.succeed(world, operation).await;
        let ticket = answer.ticket().map_or_else(|| self.ticket.clone(), str::to_owned);
        Self { name, ticket, snapshot: world.tables.snapshot().unwrap(), ..self }
    }

    async fn succeed(&self, world: &World, operation: &Operation) -> Answer {
        let answer = world.start(0, operation, self).await.expect("no faults");
        assert_eq!(answer.status, 200, "{}: {}", operation.name, answer.body);
        answer
    }
}

/// Returns the sort key of the session whose token this is.
pub(crate) fn session_place(token: &str) -> String {
    match Credential::parse(token) {
        Some(Credential::Session { agent, session, .. }) => {
            format!("SESSION#{}{}", agent.uuid().simple(), session.uuid().simple())
        }
        _ => panic!("{token} is no session's token"),
    }
}

fn all_asked(state: &State) -> bool {
    state.rounds.parts() == PARTICIPANTS.len()
}

fn login(username: &'static str) -> Operation {
    endpoint("login", "auth_login", auth_login::endpoint, move |_| {
        without_token(json!({"username": username, "password": PASSWORD}))
    })
}

/// Replaces the password hashes by cheap ones, since the proofs verify thousands.
fn cheapen_passwords(snapshot: &mut Snapshot) {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let cheap = argon2.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    for item in snapshot.items_mut(ACCOUNTS) {
        if !item["password_hash"].is_null() {
            item["password_hash"] = json!({"S": cheap});
        }
    }
}
