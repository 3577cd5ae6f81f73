//! Authenticates the callers of requests and checks what they may do. For each request, one round trip of
//! consistent reads gets the account, the session or access key, and the agent, so that a revoked right ends
//! with the next request.

use futures_util::future::{BoxFuture, FutureExt as _, try_join};

use super::idempotency::RequestKey;
use super::quota::{self, Count};
use crate::app::App;
use crate::domain::actor::{ActorType, Role};
use crate::domain::error::{Denial, Entity};
use crate::domain::gate::{Access, Party, Target, Write};
use crate::domain::known_networks::NetworkHash;
use crate::domain::owned::Kind;
use crate::domain::participant::{ParticipantName, Registry};
use crate::domain::permission::Grant;
use crate::domain::session::SessionLimits;
use crate::domain::value::Password;
use crate::domain::{
    AccessKey, Actor, Agent, Credential, Customer, Error, Id, Login, Page, Permission, Resource,
    Session, Status, Timestamp, Username,
};
use crate::http::Request;
use crate::password;
use crate::store::authority;
use crate::store::key::{self, Key};
use crate::store::outbox::{OutboxEntry, event_key};
use crate::store::throttle::LoginAttempt;
use crate::store::{Items, Stored};

/// The caller: an agent who is logged in, or an access key that acts for one.
#[derive(Debug)]
pub struct Caller {
    /// The caller's account.
    pub customer: Customer,
    /// The agent who is logged in, or whom the access key acts for.
    pub agent: Agent,
    /// The caller's effective permission: the agent's or, for an access key, as much of the key's as the agent's
    /// implies.
    pub permission: Permission,
    /// Kind and id of the credential.
    pub identity: Identity,
    /// The participant (a system that takes part in erasures) that the access key is bound to; `None` for an
    /// unbound key or a session.
    participant: Option<ParticipantName>,
    /// Whether the request has proved, by the right password, that the caller knows it.
    has_proved: bool,
}

/// The caller's credential: its kind and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A session.
    Session(Id<Session>),
    /// An access key.
    AccessKey(Id<AccessKey>),
}

/// Conditions on which a request is admitted.
struct Gate {
    /// Permissions of which the caller needs at least one.
    permission: Permission,
    /// Kind of access that the state of the caller's account must allow.
    access: Access,
    /// For a route about the erasure requests to one participant: that participant, so that access keys bound
    /// to it are admitted. `None` on other routes, which admit no bound key.
    participant: Option<ParticipantName>,
}

impl Gate {
    /// Returns a gate that admits callers who have any of these permissions and whose account's state allows
    /// `access`.
    const fn new(permission: Permission, access: Access) -> Self {
        Self { permission, access, participant: None }
    }

    /// Returns a gate that admits callers who have any of these permissions and whose account's state allows
    /// reading or, if the request's method changes something, writing.
    fn of(request: &Request, permission: Permission) -> Self {
        Self::new(permission, if request.is_read() { Access::Read } else { Access::Write })
    }

    /// Returns the gate of a route about the erasure requests to the participant that the path names. It
    /// admits project admins, and access keys that are bound to this participant.
    fn of_participant(request: &Request) -> Self {
        let participant = request.path_participant().ok();
        Self { participant, ..Self::of(request, Permission::PROJECT_ADMIN) }
    }

    /// Refuses a caller who has none of the permissions, and an access key that is bound to a participant other than
    /// the gate's.
    fn require(&self, caller: &Caller) -> Result<(), Error> {
        match &caller.participant {
            None => caller.require(self.permission),
            bound if *bound == self.participant => caller.require_agent(self.permission),
            Some(_) => Err(Error::PermissionDenied(Denial::Bound)),
        }
    }
}

impl Caller {
    /// Returns the session that the request was sent with; `None` for an access key.
    #[must_use]
    pub const fn session(&self) -> Option<Id<Session>> {
        match self.identity {
            Identity::Session(id) => Some(id),
            Identity::AccessKey(_) => None,
        }
    }

    /// Refuses a caller who has none of these permissions.
    const fn require(&self, needed: Permission) -> Result<(), Error> {
        Self::require_any(self.permission, needed)
    }

    /// Refuses a caller whose agent has none of these permissions. Used for access keys bound to a
    /// participant, which have no permission of their own: they stop working when their agent loses its
    /// permission.
    const fn require_agent(&self, needed: Permission) -> Result<(), Error> {
        Self::require_any(self.agent.permission, needed)
    }

    const fn require_any(has: Permission, needed: Permission) -> Result<(), Error> {
        if has.allows(needed) {
            Ok(())
        } else {
            Err(Error::PermissionDenied(Denial::Lacks { needed, has }))
        }
    }

    /// Returns the caller as the [`Actor`] that events, the erasure ledger and the log name.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        let (kind, id) = match self.identity {
            Identity::Session(_) => (ActorType::Agent, self.agent.id.uuid()),
            Identity::AccessKey(id) => (ActorType::AccessKey, id.uuid()),
        };
        let (role, customer_id) = (Role::of(self.permission), Some(self.customer.id.uuid()));
        Actor { kind, id: Some(id), role, customer_id }
    }

    /// Refuses a caller whose permission does not cover `wanted`: nobody may change an agent or access key
    /// that may do more than they may themselves.
    pub fn require_all_of(&self, wanted: Permission) -> Result<(), Error> {
        if self.permission.covers(wanted) { Ok(()) } else { Err(self.exceeds(wanted)) }
    }

    /// Refuses a caller who may not change `agent`: because its permission exceeds the caller's, or because
    /// it is the caller's own agent and has been changed since the request was admitted (its permission or,
    /// for a session, its [epoch](Agent::epoch)).
    pub fn require_over(&self, agent: &Agent) -> Result<(), Error> {
        if agent.id == self.agent.id {
            if matches!(self.identity, Identity::Session(_)) && agent.epoch != self.agent.epoch {
                return Err(Error::InvalidCredentials);
            }
            if agent.permission != self.agent.permission {
                return Err(Error::PermissionDenied(Denial::Changed));
            }
        }
        self.require_all_of(agent.permission)
    }

    /// Refuses a caller who may not delete `agent` or change its permission or password. These are the
    /// callers that [`require_over`](Self::require_over) refuses and, if the agent is an admin, all access
    /// keys, since only people may change admins.
    pub fn require_over_authority_of(&self, agent: &Agent) -> Result<(), Error> {
        self.require_over(agent)?;
        if agent.permission.allows(Permission::ADMIN) { self.require_session() } else { Ok(()) }
    }

    /// Returns the permission of `grant`. Refuses a grant that the caller's own permission does not cover.
    pub fn give(&self, grant: Grant) -> Result<Permission, Error> {
        grant.give(self.permission).ok_or_else(|| self.exceeds(grant.permission()))
    }

    /// Returns the permission of a new access key: that of `grant` or, without a grant, the caller's own. A key that is
    /// bound to a participant has no permission, and only project admins create such keys.
    pub fn give_key(
        &self,
        grant: Option<Grant>,
        participant: Option<&ParticipantName>,
    ) -> Result<Permission, Error> {
        match (grant, participant) {
            (None, None) => Ok(self.permission),
            (Some(grant), None) => self.give(grant),
            (None, Some(_)) => self.require(Permission::PROJECT_ADMIN).map(|()| Permission::NONE),
            (Some(_), Some(_)) => {
                let rule = "cannot be sent with participant: a key that is bound to one has none";
                Err(Error::invalid_field("permission", rule))
            }
        }
    }

    /// Returns the caller's account as the [`Target`] of a write of this kind. Refused if the account's state
    /// does not allow such a write.
    pub fn own(&self, write: Write) -> Result<Target<'_>, Error> {
        self.customer.writable(Party::Owner, write)
    }

    /// Returns the permission of `grant` for an agent, like [`give`](Self::give). To appoint an admin, the
    /// caller must have a session and have sent their password.
    pub fn appoint(&self, grant: Grant) -> Result<Permission, Error> {
        let permission = self.give(grant)?;
        if permission.allows(Permission::ADMIN) {
            self.require_step_up()?;
        }
        Ok(permission)
    }

    /// Refuses a caller who would choose the password of an agent whose user name is an e-mail address. Such
    /// an agent is to be invited, so that the owner of the address chooses the password. Operators may choose
    /// it all the same.
    pub fn choose_password_of(&self, username: &Username) -> Result<(), Error> {
        if username.address().is_none() || self.permission.allows(Permission::PROJECT_ADMIN) {
            return Ok(());
        }
        let rule = "is an e-mail address, which only its owner can prove; leave out password to invite them by mail, or \
                    send a name that is no address";
        Err(Error::invalid_field("username", rule))
    }

    /// Requires a session: access keys may not change who can sign in.
    pub const fn require_session(&self) -> Result<(), Error> {
        match self.identity {
            Identity::Session(_) => Ok(()),
            Identity::AccessKey(_) => Err(Error::PermissionDenied(Denial::SessionRequired)),
        }
    }

    /// Refuses an access key, and a session whose request lacks the agent's password in `current_password`: a stolen
    /// session is not enough to change who may do what.
    pub fn require_step_up(&self) -> Result<(), Error> {
        self.require_session()?;
        if self.has_proved {
            return Ok(());
        }
        let rule = "is missing; send your own password, since this changes who may do what";
        Err(Error::invalid_field("current_password", rule))
    }

    /// Refuses a caller with an access key, unless the request is about this key itself: `named` is its id.
    pub fn require_session_or_own(&self, named: Option<Id<AccessKey>>) -> Result<(), Error> {
        match self.identity {
            Identity::AccessKey(id) if named == Some(id) => Ok(()),
            _ => self.require_session(),
        }
    }

    /// Refuses to rotate `key` if the caller has authenticated with an access key, and the requested expiry
    /// `tm_expire` is later than the present one: no key may prolong its own life. `None` leaves the expiry
    /// unchanged.
    pub fn require_within(
        &self,
        key: &AccessKey,
        tm_expire: Option<Timestamp>,
    ) -> Result<(), Error> {
        let is_longer = tm_expire.is_some_and(|end| end > key.tm_expire);
        match self.identity {
            Identity::AccessKey(_) if is_longer => {
                Err(Error::PermissionDenied(Denial::OutlivesItself))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a project admin whose request names no account: the project's own account owns no resources.
    pub fn require_account_named(&self, request: &Request) -> Result<(), Error> {
        if self.permission.allows(Permission::PROJECT_ADMIN) && !request.names_account() {
            let rule = "is missing; a project admin creates resources for the customer it names";
            return Err(Error::InvalidParameter("customer_id", rule.to_owned()));
        }
        Ok(())
    }

    /// If the caller has proved that they know the password, resets the count of password attempts in their
    /// session, concurrently with the request.
    pub fn forget_attempts(&self, app: &App) {
        if let (true, Identity::Session(id)) = (self.has_proved, self.identity) {
            let session = key::session(self.customer.id, self.agent.id, id);
            let store = app.store.clone();
            app.beside(async move { store.forget_attempts_of(&session).await });
        }
    }

    const fn exceeds(&self, wanted: Permission) -> Error {
        Error::PermissionDenied(Denial::Exceeds { wanted, has: self.permission })
    }

    fn identify(
        credential: &Credential,
        items: &Items,
        limits: SessionLimits,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let customer = items.get(&key::customer(credential.customer()))?;
        let customer = customer.ok_or(Error::InvalidCredentials)?;
        customer.admit(Access::LogIn)?;
        let agent = items.get(&key::agent(credential.customer(), credential.agent()))?;
        let agent = agent.ok_or(Error::InvalidCredentials)?;
        let mut participant = None;
        let (permission, identity) = match credential {
            Credential::Session { customer, session, .. } => {
                let found = items
                    .get(&key::session(*customer, agent.id, *session))?
                    .ok_or(Error::InvalidCredentials)?;
                let valid = limits.admit(&found, agent.epoch, now);
                (valid.then_some(agent.permission), Identity::Session(*session))
            }
            Credential::AccessKey { customer, key, hash, .. } => {
                let found = items
                    .get(&key::access_key(*customer, *key))?
                    .ok_or(Error::InvalidCredentials)?;
                // The stored hash covers the whole token, so the agent named in the token is the key's.
                let valid = found.accepts(hash, now);
                let permission = found.permission.within(agent.permission);
                participant = found.participant;
                (valid.then_some(permission), Identity::AccessKey(*key))
            }
        };
        let permission = permission.ok_or(Error::InvalidCredentials)?;
        Ok(Self { customer, agent, permission, identity, participant, has_proved: false })
    }
}

/// Authenticates the request and returns its caller. Refuses, in this order: an account whose state does not
/// allow the request, a caller without the needed permission, and a query or header that the route does not
/// accept.
pub async fn caller(app: &App, request: &Request, needed: Permission) -> Result<Caller, Error> {
    let credential = credential(request)?;
    let (caller, _) =
        admit(app, request, &credential, Gate::of(request, needed), Vec::new()).await?;
    Ok(caller)
}

/// Returns the [caller] of a route about the erasure requests to the participant that the path names, and the
/// participant's name. Admits project admins, and access keys that are bound to this participant. Every other
/// route refuses bound keys.
pub async fn caller_of_participant(
    app: &App,
    request: &Request,
) -> Result<(Caller, ParticipantName), Error> {
    let credential = credential(request)?;
    let gate = Gate::of_participant(request);
    let (caller, _) = admit(app, request, &credential, gate, Vec::new()).await?;
    Ok((caller, request.path_participant()?))
}

/// Returns the [caller], who must be a project admin, and the registry of participants.
pub async fn caller_and_registry(
    app: &App,
    request: &Request,
) -> Result<(Caller, Registry), Error> {
    let (credential, registry) = (credential(request)?, key::registry());
    let gate = Gate::of(request, Permission::PROJECT_ADMIN);
    let (caller, items) = admit(app, request, &credential, gate, vec![registry.untyped()]).await?;
    Ok((caller, items.get(&registry)?.unwrap_or_default()))
}

/// Returns the [caller] and the account that the path names, read in the same round trip.
pub async fn caller_and_customer(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<(Caller, Result<Customer, Error>), Error> {
    let key = |_| Ok(key::customer(request.path_id()?));
    caller_and(app, request, Gate::of(request, needed), key).await
}

/// Returns the same as [`caller_and_account`], with the account's access key that the path names.
pub async fn caller_and_access_key(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<(Caller, Result<(Customer, AccessKey), Error>), Error> {
    let gate = Gate::of(request, to_name_account(request, needed));
    let (caller, found) = caller_and_owned(app, request, gate, key::access_key).await?;
    Ok((caller, existing(found, Kind::AccessKey)))
}

/// Returns the same as [`caller_and_access_key`], for a request to revoke the key. A frozen account allows
/// that, too.
pub async fn caller_and_revoked_key(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<(Caller, Result<(Customer, AccessKey), Error>), Error> {
    let permission = to_name_account(request, needed);
    let gate = Gate::new(permission, Access::Credentials);
    let (caller, found) = caller_and_owned(app, request, gate, key::access_key).await?;
    Ok((caller, existing(found, Kind::AccessKey)))
}

/// Returns the same as [`caller_and_account`], with the account's agent that the path names.
pub async fn caller_and_agent(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<(Caller, Result<(Customer, Agent), Error>), Error> {
    let gate = Gate::of(request, to_name_account(request, needed));
    let (caller, found) = caller_and_owned(app, request, gate, key::agent).await?;
    Ok((caller, existing(found, Kind::Agent)))
}

/// Returns the [caller] and the account that the request is about: the caller's own, or the one that a project
/// admin names in the query. Other callers may not name an account, not even their own.
pub async fn caller_and_account(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<(Caller, Result<Customer, Error>), Error> {
    let key = |own| Ok(key::customer(request.account(own)?));
    let gate = Gate::of(request, to_name_account(request, needed));
    caller_and(app, request, gate, key).await
}

/// Returns the account that the request is about, as [`caller_and_account`] does, and a page of a list of
/// what the account owns. `list` reads the page, given account, page size and cursor, while the caller is
/// authenticated.
pub async fn account_and_page<T, U, F>(
    app: &App,
    request: &Request,
    needed: Permission,
    list: impl FnOnce(Id<Customer>, usize, Option<Id<U>>) -> F,
) -> Result<(Customer, Page<T>), Error>
where
    F: Future<Output = Result<Page<T>, Error>>,
{
    let own = credential(request)?.customer();
    let page = async {
        let page = request.page()?;
        let (account, after) = (request.account(own)?, page.cursor(Id::parse)?);
        list(account, page.size, after).await
    };
    // A caller who may not read is refused at once: the time that the rows take reveals something about them.
    let ((_, account), page) =
        try_join(caller_and_account(app, request, needed), async { Ok(page.await) }).await?;
    let page = page?;
    Ok((account?, page))
}

/// Returns the same as [`caller_and_account`], with the account's resource that the path names; `None` if there is
/// none. A deleted account has no resources, even before its purge is done.
pub async fn caller_and_resource(
    app: &App,
    request: &Request,
    needed: Permission,
    kind: Kind,
) -> Result<(Caller, Result<(Customer, Option<Resource>), Error>), Error> {
    let gate = Gate::of(request, to_name_account(request, needed));
    caller_and_owned(app, request, gate, |account, id| key::resource(account, kind, id)).await
}

/// Returns the [caller], the account that the request is about, and the account's item with the id in the
/// path. `key` makes the item's key from the ids of account and item. For a deleted account, the item is
/// `None`.
async fn caller_and_owned<T: Stored, U>(
    app: &App,
    request: &Request,
    gate: Gate,
    key: impl FnOnce(Id<Customer>, Id<U>) -> Key<T>,
) -> Result<(Caller, Result<(Customer, Option<T>), Error>), Error> {
    let credential = credential(request)?;
    let wanted = Wanted::of(request, &credential, key);
    let also = wanted.iter().flat_map(Wanted::keys).collect();
    let (caller, items) = admit(app, request, &credential, gate, also).await?;
    Ok((caller, wanted.and_then(|wanted| wanted.find(&items))))
}

/// Returns the [caller] and the agent whose sessions the request is about: the caller, or the agent of their account
/// that an admin names in the query.
pub async fn caller_and_agent_of_sessions(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<Agent, Error>), Error> {
    let credential = credential(request)?;
    let wanted = request.agent(credential.agent());
    let gate = Gate::of(request, to_name_agent(&wanted, &credential));
    let wanted = wanted.map(|agent| key::agent(credential.customer(), agent));
    let also = wanted.iter().map(Key::untyped).collect();
    let (caller, items) = admit(app, request, &credential, gate, also).await?;
    let found = wanted.and_then(|key| items.get(&key)?.ok_or(Error::not_found(Kind::Agent)));
    Ok((caller, found))
}

/// Returns the same as [`caller_and_agent_of_sessions`], with the agent's session that the path names. A
/// frozen account allows that, too, so that its sessions can be ended.
pub async fn caller_and_session(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<(Agent, Session), Error>), Error> {
    let credential = credential(request)?;
    let (own, wanted) = (credential.customer(), request.agent(credential.agent()));
    let permission = to_name_agent(&wanted, &credential);
    let gate = Gate::new(permission, Access::Credentials);
    let wanted = wanted.and_then(|agent| {
        Ok((key::agent(own, agent), key::session(own, agent, request.path_id()?)))
    });
    let also =
        wanted.iter().flat_map(|(agent, session)| [agent.untyped(), session.untyped()]).collect();
    let (caller, items) = admit(app, request, &credential, gate, also).await?;
    let found = wanted.and_then(|(agent, session)| {
        let agent = items.get(&agent)?.ok_or(Error::not_found(Kind::Agent))?;
        let session = items.get(&session)?;
        let session = session.filter(|found| app.sessions.admit(found, agent.epoch, app.now()));
        Ok((agent, session.ok_or(Error::not_found(Kind::Session))?))
    });
    Ok((caller, found))
}

/// Returns the permission that a request about an agent's sessions needs: none, if the agent is the caller's own.
fn to_name_agent(wanted: &Result<Id<Agent>, Error>, credential: &Credential) -> Permission {
    let is_own = wanted.as_ref().is_ok_and(|agent| *agent == credential.agent());
    if is_own { Permission::NONE } else { Permission::ADMIN }
}

/// Returns the [caller], the account that the request is about, and the event that the path names; `None`
/// unless the event is one that is delivered to this account's webhook.
pub async fn caller_and_delivery(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<(Caller, Result<(Customer, Option<OutboxEntry>), Error>), Error> {
    let gate = Gate::of(request, to_name_account(request, needed));
    let (caller, found) = caller_and_owned(app, request, gate, |_, id| event_key(id)).await?;
    let found = found.map(|(account, event)| {
        let own = event.filter(|event: &OutboxEntry| event.is_delivered_to(account.id));
        (account, own)
    });
    Ok((caller, found))
}

/// Returns the [caller] and the account at the key that `key` returns, given the id of the caller's own
/// account.
async fn caller_and(
    app: &App,
    request: &Request,
    gate: Gate,
    key: impl FnOnce(Id<Customer>) -> Result<Key<Customer>, Error>,
) -> Result<(Caller, Result<Customer, Error>), Error> {
    let credential = credential(request)?;
    let wanted = key(credential.customer());
    let also = wanted.iter().map(Key::untyped).collect();
    let (caller, items) = admit(app, request, &credential, gate, also).await?;
    let missing = Error::NotFound(Entity::Customer);
    let found = wanted.and_then(|key| items.get(&key)?.ok_or(missing));
    Ok((caller, found))
}

/// Keys of the items that a request is about: the account, and the account's item with the id in the path.
struct Wanted<T> {
    account: Key<Customer>,
    owned: Key<T>,
}

impl<T: Stored> Wanted<T> {
    fn of<U>(
        request: &Request,
        credential: &Credential,
        key: impl FnOnce(Id<Customer>, Id<U>) -> Key<T>,
    ) -> Result<Self, Error> {
        let account = request.account(credential.customer())?;
        Ok(Self { account: key::customer(account), owned: key(account, request.path_id()?) })
    }

    fn keys(&self) -> [Key<()>; 2] {
        [self.account.untyped(), self.owned.untyped()]
    }

    /// Returns the account and its item; `None` for an item that is missing, or whose account is deleted.
    fn find(&self, items: &Items) -> Result<(Customer, Option<T>), Error> {
        let account = items.get(&self.account)?.ok_or(Error::NotFound(Entity::Customer))?;
        let owned = items.get(&self.owned)?.filter(|_| account.status != Status::Deleted);
        Ok((account, owned))
    }
}

/// Returns the account with its item of this kind; fails if there is no such item.
fn existing<T>(
    found: Result<(Customer, Option<T>), Error>,
    kind: Kind,
) -> Result<(Customer, T), Error> {
    let (account, owned) = found?;
    Ok((account, owned.ok_or(Error::not_found(kind))?))
}

/// Returns the permission that a request needs: project admin if it names an account, else `needed`.
fn to_name_account(request: &Request, needed: Permission) -> Permission {
    if request.names_account() { Permission::PROJECT_ADMIN } else { needed }
}

/// Returns the [caller], if the state of their account allows `access`. If `password` is given and the caller
/// has a session, verifies it against the session's agent. An access key has no password.
///
/// The attempt is counted in the round trip that reads the caller, before the hash is computed. It counts
/// against the session and the request's network, not against the user name: so strangers who guess the
/// password of that user name do not keep its owner from proving who they are.
pub async fn caller_with_password(
    app: &App,
    request: &Request,
    access: Access,
    needed: Permission,
    password: Option<&Password>,
) -> Result<Caller, Error> {
    let gate = Gate::new(needed, access);
    let credential = credential(request)?;
    let (caller, _) = prove(app, request, &credential, gate, password, Vec::new()).await?;
    Ok(caller)
}

/// Returns the [caller]. If the body has a `current_password`, verifies it as [`caller_with_password`] does;
/// once it is verified, the caller passes [`Caller::require_step_up`].
pub async fn caller_with_step_up(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<Caller, Error> {
    let credential = credential(request)?;
    let (caller, _) = step_up(app, request, &credential, needed, Vec::new()).await?;
    Ok(caller)
}

/// Returns the caller like [`caller_with_step_up`], the account that the request is about, and the account's agent that
/// the path names.
pub async fn caller_and_agent_with_step_up(
    app: &App,
    request: &Request,
    needed: Permission,
) -> Result<(Caller, Result<(Customer, Agent), Error>), Error> {
    let credential = credential(request)?;
    let wanted = Wanted::of(request, &credential, key::agent);
    let also = wanted.iter().flat_map(Wanted::keys).collect();
    let needed = to_name_account(request, needed);
    let (caller, items) = step_up(app, request, &credential, needed, also).await?;
    let found = wanted.and_then(|wanted| wanted.find(&items));
    Ok((caller, existing(found, Kind::Agent)))
}

/// For a change of password: returns the [caller], the agent of their account that the path names and, if
/// that is the caller's own agent, the caller's session. Changing one's own password needs no permission, and
/// is allowed while the account is frozen. In any case, `current_password` is verified if the body has it.
pub async fn caller_and_agent_of_password(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<Agent, Error>, Option<Id<Session>>), Error> {
    let Some(own_session) = own_session(request)? else {
        let (caller, found) =
            caller_and_agent_with_step_up(app, request, Permission::ADMIN).await?;
        return Ok((caller, found.map(|(_, agent)| agent), None));
    };
    let (current, access) = (request.current_password(), Access::Credentials);
    let caller =
        caller_with_password(app, request, access, Permission::NONE, current.as_ref()).await?;
    let agent = caller.agent.clone();
    Ok((caller, Ok(agent), Some(own_session)))
}

/// Admits the request as [`Gate::of`] defines, and verifies the `current_password` in its body, if there is
/// one. If it is right, resets the count of password attempts, concurrently with the request.
async fn step_up(
    app: &App,
    request: &Request,
    credential: &Credential,
    needed: Permission,
    also: Vec<Key<()>>,
) -> Result<(Caller, Items), Error> {
    let (gate, password) = (Gate::of(request, needed), request.current_password());
    let (caller, items) = prove(app, request, credential, gate, password.as_ref(), also).await?;
    caller.forget_attempts(app);
    Ok((caller, items))
}

/// Admits the request and reads the items with the keys `also`. Verifies `password`, if it is given and the
/// caller has a session.
async fn prove(
    app: &App,
    request: &Request,
    credential: &Credential,
    gate: Gate,
    password: Option<&Password>,
    mut also: Vec<Key<()>>,
) -> Result<(Caller, Items), Error> {
    let (Some(password), Credential::Session { customer, agent, login, session }) =
        (password, credential)
    else {
        return admit(app, request, credential, gate, also).await;
    };
    let (lock, session) = (key::login(*login), key::session(*customer, *agent, *session));
    let in_session = app.store.reserve_attempt(&session, app.now()).boxed();
    also.push(lock.untyped());
    // A request to be replayed ends here, unverified: its password was right the first time.
    let read = admit(app, request, credential, gate, also);
    let both = async {
        let (in_session, read) = futures_util::join!(in_session, read);
        in_session.and(read)
    };
    let (caller, items) = quota::count_attempt(app, request, both).await?;
    let found = items.get(&lock)?.filter(|found: &Login| found.agent == *agent);
    if password::verify(password, found.as_ref().map(|found| &found.password_hash)) {
        Ok((Caller { has_proved: true, ..caller }, items))
    } else {
        Err(Error::InvalidPassword)
    }
}

/// Counts a login attempt three times: for the user name, for the user name and `network` together if the
/// user name has recently logged in from that network, and for the request's network alone. Reads the user
/// name's login in the same round trip. To be called before any hash is computed.
pub async fn reserve_login(
    app: &App,
    request: &Request,
    username: &Username,
    network: &NetworkHash,
) -> Result<LoginAttempt, Error> {
    let reserved = Box::pin(app.store.reserve_login(username, network, app.now()));
    quota::count_attempt(app, request, reserved).await
}

/// Returns the session of the request's token, if the path names the agent whose session it is; `None`
/// otherwise, and for an access key.
fn own_session(request: &Request) -> Result<Option<Id<Session>>, Error> {
    let is_own = |id| request.path_id().is_ok_and(|named| named == id);
    Ok(match credential(request)? {
        Credential::Session { agent, session, .. } if is_own(agent) => Some(session),
        _ => None,
    })
}

/// Parses the request's token into a [`Credential`], a session or an access key.
pub fn credential(request: &Request) -> Result<Credential, Error> {
    Credential::parse(request.token()?).ok_or(Error::InvalidCredentials)
}

/// Reads the caller and the items with the keys `also` in one round trip, and admits the request. The future
/// is boxed, so that it is compiled once and not in every function.
fn admit<'a>(
    app: &'a App,
    request: &'a Request,
    credential: &'a Credential,
    gate: Gate,
    also: Vec<Key<()>>,
) -> BoxFuture<'a, Result<(Caller, Items), Error>> {
    let done = async move {
        let key = RequestKey::of(request, credential)?;
        let mut keys = identifying_keys(credential, key.as_ref());
        keys.extend(also);
        let (items, count) =
            quota::read_and_count(app, request, credential.customer(), keys).await?;
        Ok((identify(app, request, credential, gate, key, &items, count).await?, items))
    };
    done.boxed()
}

/// Returns the keys of the items that identify the caller and, if the request has an idempotency key, of its record.
fn identifying_keys(credential: &Credential, key: Option<&RequestKey>) -> Vec<Key<()>> {
    let customer = credential.customer();
    let agent = credential.agent();
    let own = match credential {
        Credential::Session { session, .. } => key::session(customer, agent, *session).untyped(),
        Credential::AccessKey { key, .. } => key::access_key(customer, *key).untyped(),
    };
    let mut keys =
        vec![key::customer(customer).untyped(), key::agent(customer, agent).untyped(), own];
    keys.extend(key.map(RequestKey::untyped));
    keys
}

/// Authenticates the caller by the `items` that were read, and admits the request: checks the rate limit, the
/// account's state, the permission and the accepted input, in this order. Finally, refuses a request whose
/// idempotency key was used before; an identical request is then answered by a replay.
async fn identify(
    app: &App,
    request: &Request,
    credential: &Credential,
    gate: Gate,
    key: Option<RequestKey>,
    items: &Items,
    count: Count<'_>,
) -> Result<Caller, Error> {
    let now = app.now();
    let caller = Caller::identify(credential, items, app.sessions, now);
    let caller = count.admit(caller, gate.access).await?;
    request.identified(caller.actor());
    match caller.identity {
        Identity::Session(id) => record_session_use(app, request, &caller, id, items, now)?,
        Identity::AccessKey(id) => record_key_use(app, &caller, id, items, now)?,
    }
    caller.customer.admit(gate.access)?;
    // An installation may keep resources from accounts that are not active.
    if request.path_kind().is_ok() {
        caller.customer.admit_to_resources(app.unverified)?;
    }
    gate.require(&caller)?;
    request.require_accepted()?;
    // The fingerprint may cost a password hash, so it is computed only for a caller who may make the request.
    let earlier = key.map_or(Ok(None), |key| key.look_up(request, items, now))?;
    let has_session = matches!(caller.identity, Identity::Session(_));
    authority::register(caller.customer.id, &caller.agent, has_session);
    earlier.map_or(Ok(caller), |earlier| Err(earlier.refuse()))
}

/// Records that an access key was used today, concurrently with the request and once a day.
fn record_key_use(
    app: &App,
    caller: &Caller,
    id: Id<AccessKey>,
    items: &Items,
    now: Timestamp,
) -> Result<(), Error> {
    let (customer, today) = (caller.customer.id, now.day());
    let found = items.get(&key::access_key(customer, id))?;
    if found.is_some_and(|key| key.tm_last_use.is_none_or(|day| day < today)) {
        let store = app.store.clone();
        app.beside(async move { store.record_access_key_use(customer, id, today).await });
    }
    Ok(())
}

/// Records the use of a session if that [is due](SessionLimits::is_use_due). If the session's token was sent
/// in a URL for the first time, makes the session expire sooner. Both happen concurrently with the request.
fn record_session_use(
    app: &App,
    request: &Request,
    caller: &Caller,
    id: Id<Session>,
    items: &Items,
    now: Timestamp,
) -> Result<(), Error> {
    let key_of = || key::session(caller.customer.id, caller.agent.id, id);
    let Some(session) = items.get(&key_of())? else { return Ok(()) };
    if request.has_token_in_url() && !session.url_exposed {
        let (store, key, exposed) = (app.store.clone(), key_of(), session.exposed(now));
        app.beside(async move { store.expose_session(&key, &exposed).await });
    }
    if app.sessions.is_use_due(&session, now) {
        let (store, key) = (app.store.clone(), key_of());
        app.beside(async move { store.record_session_use(&key, &session, now).await });
    }
    Ok(())
}
