//! The life of an account: it is made, used, and deleted in one of several ways, or lives on.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::Scene;
use super::caller::{Call, Caller};
use crate::Result;
use crate::client::Api;

const PASSWORD: &str = "correct horse battery staple";

/// Kinds of resources that an account creates, one kind per step.
const KINDS: [&str; 4] = ["numbers", "flows", "tags", "contacts"];

/// Accounts whose number is a multiple of this are never deleted.
const LIVES_ON: u64 = 8;

/// How an account ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The account is not deleted during the soak.
    None,
    /// The owner unregisters: the account is frozen, and due to be deleted after a grace period of zero days.
    Unregistered,
    /// The owner unregisters with `immediate`: the account is deleted at once.
    AtOnce,
    /// An operator requests a plan of the account's deletion, and deletes the account with the plan's digest.
    Deleted,
}

/// An account as the soak knows it.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) id: String,
    /// Number of items, except sessions, that the account owns or, if it is deleted, owned until then; by the
    /// kind's plural name.
    pub(crate) owns: BTreeMap<&'static str, u64>,
    pub(crate) end: End,
    /// Whether every request succeeded, so that `owns` and `end` are certain.
    pub(crate) is_sure: bool,
}

/// The accounts of a soak: the number of accounts begun, and the accounts that are done (deleted, or left to live on).
#[derive(Default)]
pub(crate) struct Lives {
    begun: AtomicU64,
    lived: Mutex<Vec<Life>>,
}

impl Lives {
    fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    fn add(&self, life: Life) {
        self.lived.lock().unwrap_or_else(PoisonError::into_inner).push(life);
    }

    pub(crate) fn all(&self) -> Vec<Life> {
        self.lived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the account at index `number` modulo the number of accounts that are done; `None` if there are none yet.
    pub(crate) fn pick(&self, number: u64) -> Option<Life> {
        let lived = self.lived.lock().unwrap_or_else(PoisonError::into_inner);
        let count = u64::try_from(lived.len()).ok().filter(|count| *count > 0)?;
        lived.get(usize::try_from(number % count).ok()?).cloned()
    }

    pub(crate) fn progress(&self) -> String {
        let lives = self.all();
        let ended = lives.iter().filter(|life| life.end != End::None).count();
        format!("{} accounts, {ended} of them deleted", lives.len())
    }
}

/// Creates, uses and ends one account after another until the soak is over.
pub(crate) async fn live(scene: &Scene) -> Result<()> {
    while !scene.is_over() {
        let number = scene.lives.begin();
        if let Some(life) = Living::begin(scene, number).await? {
            scene.lives.add(life.live().await?);
        }
    }
    Ok(())
}

/// Returns the IP address of an account's owner. Each owner has an address of their own, since password attempts are
/// limited by network.
const fn address(number: u64) -> Ipv4Addr {
    let [.., high, middle, low] = number.to_be_bytes();
    Ipv4Addr::new(127, high | 128, middle, low)
}

/// An account in use, and the token of its admin's session.
struct Living<'a> {
    scene: &'a Scene,
    number: u64,
    /// The owner's client.
    api: Api,
    token: String,
    life: Life,
}

impl<'a> Living<'a> {
    /// Creates an account, and logs its admin in; `None` if that fails, which is recorded as a problem.
    async fn begin(scene: &'a Scene, number: u64) -> Result<Option<Self>> {
        let api = scene.api.at_address(address(number));
        let operator = Caller { scene, api: &scene.api, token: &scene.operator };
        let username = format!("soak{number}");
        let body = json!({
            "username": username,
            "password": PASSWORD,
            "name": format!("Soak {number}"),
            "email": format!("{username}@example.com"),
        });
        let made = operator.send(Call::post("create an account", "/v1.0/customers", body)).await?;
        let Some(id) = made.as_ref().and_then(|made| made["id"].as_str()) else { return Ok(None) };
        let anybody = Caller { scene, api: &api, token: "" };
        let body = json!({"username": username, "password": PASSWORD});
        let session = anybody.send(Call::post("log in", "/auth/login", body)).await?;
        let token = session.as_ref().and_then(|session| session["token"].as_str());
        let life = Life {
            id: id.to_owned(),
            owns: BTreeMap::from([("agents", 1)]),
            end: End::None,
            is_sure: true,
        };
        Ok(token.map(str::to_owned).map(|token| Self { scene, number, api, token, life }))
    }

    async fn live(mut self) -> Result<Life> {
        for step in 0..=self.number % 6 {
            self.use_resources(step).await?;
        }
        self.use_identities().await?;
        self.change().await?;
        self.list().await?;
        self.end().await?;
        Ok(self.life)
    }

    const fn operator(&self) -> Caller<'a> {
        let scene = self.scene;
        Caller { scene, api: &scene.api, token: scene.operator.as_str() }
    }

    /// Sends a request as the account's admin. If it does not succeed, the account's state is no longer certain.
    async fn send(&mut self, call: Call<'_>) -> Result<Option<Value>> {
        let caller = Caller { scene: self.scene, api: &self.api, token: &self.token };
        let answer = caller.send(call).await?;
        self.life.is_sure &= answer.is_some();
        Ok(answer)
    }

    /// Creates two resources, changes one and deletes the other.
    async fn use_resources(&mut self, step: u64) -> Result<()> {
        let kind = KINDS[usize::try_from(step)? % KINDS.len()];
        let path = format!("/v1.0/{kind}");
        let mut ids = Vec::new();
        for _ in 0..2 {
            let body = json!({"name": format!("{kind} {step}"), "data": {"step": step}});
            let made = self.send(Call::post("create a resource", &path, body)).await?;
            ids.extend(made.as_ref().and_then(|made| made["id"].as_str()).map(str::to_owned));
        }
        if let [kept, dropped] = ids.as_slice() {
            let path = format!("/v1.0/{kind}/{kept}");
            self.send(Call::put("change a resource", &path, json!({"name": "changed"}))).await?;
            let path = format!("/v1.0/{kind}/{dropped}");
            self.send(Call::delete("delete a resource", &path)).await?;
            *self.life.owns.entry(kind).or_default() += 1;
        }
        Ok(())
    }

    /// Creates an access key and, for every third account, an agent.
    async fn use_identities(&mut self) -> Result<()> {
        if self.number.is_multiple_of(3) {
            let body = json!({
                "username": format!("soak{}b", self.number), "password": PASSWORD, "permission": 16,
            });
            self.send(Call::post("create an agent", "/v1.0/agents", body)).await?;
            *self.life.owns.entry("agents").or_default() += 1;
        }
        let body = json!({"name": "a key", "expire": 86_400});
        self.send(Call::post("create an access key", "/v1.0/accesskeys", body)).await?;
        *self.life.owns.entry("accesskeys").or_default() += 1;
        Ok(())
    }

    /// Changes the account itself, as its owner and as an operator.
    async fn change(&mut self) -> Result<()> {
        let body = json!({"detail": format!("life {}", self.number)});
        self.send(Call::put("change the own account", "/v1.0/customer", body)).await?;
        let path = format!("/v1.0/customers/{}", self.life.id);
        let body = json!({"phone_number": "+49 30 1234567"});
        let call = Call::put("change an account", &path, body);
        self.operator().send(call).await?;
        Ok(())
    }

    /// Checks that each list of resources has as many rows as the account owns.
    async fn list(&mut self) -> Result<()> {
        for kind in KINDS {
            let path = format!("/v1.0/{kind}");
            let Some(page) = self.send(Call::get("list resources", &path)).await? else { continue };
            let listed = page["result"].as_array().map_or(0, Vec::len) as u64;
            let owned = self.life.owns.get(kind).copied().unwrap_or_default();
            let is_sure = self.life.is_sure;
            self.scene.tally.check("lists are complete", listed == owned || !is_sure, || {
                format!("{}: {listed} of {owned} {kind}", self.life.id)
            });
        }
        Ok(())
    }

    /// Deletes the account in one of three ways, in turn, or lets it live on.
    async fn end(&mut self) -> Result<()> {
        if self.number.is_multiple_of(LIVES_ON) {
            return Ok(());
        }
        self.life.end =
            [End::Unregistered, End::AtOnce, End::Deleted][usize::try_from(self.number % 3)?];
        match self.life.end {
            End::None => {}
            End::Unregistered => {
                let body = json!({"password": PASSWORD});
                self.send(Call::post("unregister", "/auth/unregister", body)).await?;
            }
            End::AtOnce => {
                let body = json!({
                    "password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true,
                });
                self.send(Call::post("unregister at once", "/auth/unregister", body)).await?;
            }
            End::Deleted => self.be_deleted().await?,
        }
        Ok(())
    }

    /// Requests a plan of the deletion as the operator, and deletes the account with the plan's digest. This succeeds
    /// because nobody changes the account in between.
    async fn be_deleted(&mut self) -> Result<()> {
        let operator = self.operator();
        let path = format!("/v1.0/customers/{}/erasure/plan", self.life.id);
        let plan = operator.send(Call::post("plan an erasure", &path, json!({}))).await?;
        let digest = plan.as_ref().and_then(|plan| plan["digest"].as_str()).unwrap_or_default();
        let path = format!("/v1.0/customers/{}?plan={digest}", self.life.id);
        let deleted = operator.send(Call::delete("delete an account", &path)).await?;
        self.life.is_sure &= deleted.is_some();
        Ok(())
    }
}
