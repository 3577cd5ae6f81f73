//! Who is calling. One round trip reads the account, the session or key, and the agent, as they are now:
//! whoever lost a right has lost it at the next request.

use futures_util::future::{BoxFuture, FutureExt as _};

use super::idempotency::{Earlier, RequestKey};
use super::quota::{self, Count};
use crate::app::App;
use crate::domain::erasure::{Requester, Role};
use crate::domain::error::Entity;
use crate::domain::gate::Access;
use crate::domain::owned::Kind;
use crate::domain::permission::Grant;
use crate::domain::quota::Quota;
use crate::domain::username::LoginKey;
use crate::domain::value::Password;
use crate::domain::{
    AccessKey, Agent, Credential, Customer, Error, Id, Permission, Resource, Session, Status,
    Timestamp,
};
use crate::http::Request;
use crate::password;
use crate::store::key::{self, Key};
use crate::store::outbox::OutboxEntry;
use crate::store::{Items, Stored, login::Login};

/// Who is calling, and what they may do.
#[derive(Debug)]
pub struct Caller {
    /// The caller's account.
    pub customer: Customer,
    /// The agent who logged in, or whom the key acts for.
    pub agent: Agent,
    /// What the caller may do.
    pub permission: Permission,
    /// What the caller is.
    pub identity: Identity,
    /// What an earlier request with the same key has done.
    earlier: Option<Earlier>,
}

/// What a caller is, and how it is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A person who logged in, with the user name that this stands for.
    Agent(Id<Agent>, LoginKey),
    /// A program with a key.
    AccessKey(Id<AccessKey>),
}

impl Caller {
    /// Refuses a caller who has none of these permissions, and then a request that was fulfilled before.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        self.allow(permission)?;
        self.require_first()
    }

    /// Refuses a request that was fulfilled before: it is answered from what it did then. Comes after
    /// the permission, which the caller may have lost.
    pub fn require_first(&self) -> Result<(), Error> {
        self.earlier.clone().map_or(Ok(()), |earlier| Err(earlier.told()))
    }

    const fn allow(&self, permission: Permission) -> Result<(), Error> {
        if self.permission.allows(permission) { Ok(()) } else { Err(Error::PermissionDenied) }
    }

    /// Who asks, as the ledger of erasures remembers it.
    #[must_use]
    pub fn requester(&self) -> Requester {
        let (role, id) = match self.identity {
            Identity::Agent(id, _) => (Role::CustomerAdmin, id.to_string()),
            Identity::AccessKey(id) => (Role::AccessKey, id.to_string()),
        };
        let is_operator = self.permission.allows(Permission::PROJECT_ADMIN);
        Requester { role: if is_operator { Role::ProjectAdmin } else { role }, id }
    }

    /// Refuses a caller who may not do all that somebody with `permission` may: nobody has a say over
    /// who is above them.
    pub fn require_all_of(&self, permission: Permission) -> Result<(), Error> {
        if self.permission.covers(permission) { Ok(()) } else { Err(Error::PermissionDenied) }
    }

    /// The permission that the caller wants to give, if the caller has it.
    pub fn give(&self, grant: Grant) -> Result<Permission, Error> {
        grant.give(self.permission).ok_or(Error::PermissionDenied)
    }

    /// Refuses a request that names an account, unless the caller runs the project.
    fn require_may_name_account(&self, request: &Request) -> Result<(), Error> {
        if request.names_account() { self.allow(Permission::PROJECT_ADMIN) } else { Ok(()) }
    }

    /// Refuses a caller whose account is frozen. Only leaving and recovering do without.
    pub fn require_not_frozen(self) -> Result<Self, Error> {
        self.customer.admit(Access::Write)?;
        Ok(self)
    }

    fn identify(credential: &Credential, items: &Items, now: Timestamp) -> Result<Self, Error> {
        let customer = items.get(&key::customer(credential.customer()))?;
        let customer = customer.ok_or(Error::InvalidCredentials)?;
        customer.admit(Access::Session)?;
        let agent = items.get(&key::agent(credential.customer(), credential.agent()))?;
        let agent = agent.ok_or(Error::InvalidCredentials)?;
        let (permission, identity) = match credential {
            Credential::Session { customer, login, hash, .. } => {
                let session: Session =
                    items.get(&key::session(*customer, hash))?.ok_or(Error::InvalidCredentials)?;
                let valid = session.agent == agent.id
                    && session.epoch == agent.epoch
                    && now < session.tm_expire;
                (valid.then_some(agent.permission), Identity::Agent(agent.id, *login))
            }
            Credential::AccessKey { customer, key, hash, .. } => {
                let found = items
                    .get(&key::access_key(*customer, *key))?
                    .ok_or(Error::InvalidCredentials)?;
                // The token's hash vouches for the agent that it names.
                let valid = found.accepts(hash, now);
                let permission = found.permission.within(agent.permission);
                (valid.then_some(permission), Identity::AccessKey(*key))
            }
        };
        let permission = permission.ok_or(Error::InvalidCredentials)?;
        Ok(Self { customer, agent, permission, identity, earlier: None })
    }
}

/// Who is calling.
pub async fn caller(app: &App, request: &Request) -> Result<Caller, Error> {
    let (caller, _) = identify_and_read(app, request, &credential(request)?, Vec::new()).await?;
    caller.require_not_frozen()
}

/// Who is calling, and the account that the path names. Ask the caller's permission before looking at
/// the account: whether it exists is not for everyone to know.
pub async fn caller_and_customer(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<Customer, Error>), Error> {
    let key = |_| Ok(key::customer(request.path_id()?));
    caller_and(app, request, key, Entity::Customer).await
}

/// Who is calling, and the key of the caller's own account that the path names.
pub async fn caller_and_access_key(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<AccessKey, Error>), Error> {
    let key = |own| Ok(key::access_key(own, request.path_id()?));
    caller_and(app, request, key, Entity::Owned(Kind::AccessKey)).await
}

/// Who is calling, and the agent of the caller's own account that the path names.
pub async fn caller_and_agent(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<Agent, Error>), Error> {
    let key = |own| Ok(key::agent(own, request.path_id()?));
    caller_and(app, request, key, Entity::Owned(Kind::Agent)).await
}

/// Who is calling, and the account that the request is about: the caller's own, or the one that a
/// project admin names in the query. Nobody else may name one, not even their own.
pub async fn caller_and_account(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<Customer, Error>), Error> {
    let key = |own| Ok(key::customer(request.account(own)?));
    let (caller, account) = caller_and(app, request, key, Entity::Customer).await?;
    caller.require_may_name_account(request)?;
    Ok((caller, account))
}

/// As [`caller_and_account`], and the resource of that account that the path names, if it is there. An
/// account that is deleted has none, even if the purge is still at work.
pub async fn caller_and_resource(
    app: &App,
    request: &Request,
    kind: Kind,
) -> Result<(Caller, Result<(Customer, Option<Resource>), Error>), Error> {
    let credential = credential(request)?;
    let wanted = request.account(credential.customer()).and_then(|account| {
        Ok((key::customer(account), key::resource(account, kind, request.path_id()?)))
    });
    let also = wanted
        .iter()
        .flat_map(|(account, resource)| [account.untyped(), resource.untyped()])
        .collect();
    let (caller, items) = identify_and_read(app, request, &credential, also).await?;
    let caller = caller.require_not_frozen()?;
    caller.require_may_name_account(request)?;
    let found = wanted.and_then(|(account, resource)| {
        let account = items.get(&account)?.ok_or(Error::NotFound(Entity::Customer))?;
        let resource = items.get(&resource)?.filter(|_| account.status != Status::Deleted);
        Ok((account, resource))
    });
    Ok((caller, found))
}

/// Who is calling, and the event of the caller's own account that the path names, if there is one that the
/// account is told of.
pub async fn caller_and_delivery(
    app: &App,
    request: &Request,
) -> Result<(Caller, Result<Option<OutboxEntry>, Error>), Error> {
    let credential = credential(request)?;
    let key = RequestKey::of(request, &credential)?;
    let (keys, id) = (what_identifies(&credential, key.as_ref()), request.path_id());
    let read = app.store.get_items_and_event(&keys, id.as_ref().ok().copied());
    let ((items, event), count) =
        quota::count_beside(app, request, credential.customer(), read).await?;
    let caller = identify(app, request, &credential, key, &items, count).await?;
    let caller = caller.require_not_frozen()?;
    let own = event.filter(|event| event.is_delivered_to(caller.customer.id));
    Ok((caller, id.map(|_| own)))
}

/// Who is calling, and what is at the key that `key` makes, given the caller's account.
async fn caller_and<T: Stored>(
    app: &App,
    request: &Request,
    key: impl FnOnce(Id<Customer>) -> Result<Key<T>, Error>,
    missing: Entity,
) -> Result<(Caller, Result<T, Error>), Error> {
    let credential = credential(request)?;
    let wanted = key(credential.customer());
    let also = wanted.iter().map(Key::untyped).collect();
    let (caller, items) = identify_and_read(app, request, &credential, also).await?;
    let found = wanted.and_then(|key| items.get(&key)?.ok_or(Error::NotFound(missing)));
    Ok((caller.require_not_frozen()?, found))
}

/// Who is calling, and a check that `password`, if any was sent, is the caller's own: an agent's, as a
/// key has none. Lets frozen accounts in.
///
/// The attempt is reserved while the caller is read, before the hash: a session's token names the
/// throttle that log-ins with the same user name share. Only a session that is there reserves any.
pub async fn caller_with_password(
    app: &App,
    request: &Request,
    password: Option<&Password>,
) -> Result<Caller, Error> {
    let credential = credential(request)?;
    let (Some(password), Credential::Session { customer, agent, login, hash }) =
        (password, &credential)
    else {
        let (caller, _) = identify_and_read(app, request, &credential, Vec::new()).await?;
        return Ok(caller);
    };
    let (lock, session) = (key::login(*login), key::session(*customer, hash));
    let now = app.now();
    let by_name = app.store.reserve_attempt(*login, Some((&session, *agent)), now).boxed();
    let read = identify_and_read(app, request, &credential, vec![lock.untyped()]);
    let (caller, items) = reserve(app, request, now, by_name, read).await?;
    if caller.earlier.as_ref().is_some_and(Earlier::is_same) {
        // The password was right then; by now it may be another.
        return Ok(caller);
    }
    let found = items.get(&lock)?.filter(|found: &Login| found.agent == *agent);
    if password::verify(password, found.as_ref().map(|found| &found.password_hash)) {
        Ok(caller)
    } else {
        Err(Error::InvalidCredentials)
    }
}

/// Reserves an attempt at a password, by user name and by network, and does `read` in the same round
/// trip. Comes before any hash.
pub async fn reserve_attempt<T>(
    app: &App,
    request: &Request,
    login: LoginKey,
    read: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let now = app.now();
    reserve(app, request, now, app.store.reserve_attempt(login, None, now), read).await
}

/// A network that is known to be exhausted is refused before anything is asked or counted.
async fn reserve<T>(
    app: &App,
    request: &Request,
    now: Timestamp,
    by_name: impl Future<Output = Result<(), Error>>,
    read: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let quota = Quota::PASSWORD_ATTEMPTS;
    app.exhausted().check(quota, &quota::network(request), now)?;
    let by_network = quota::count_network(app, request, quota, now);
    let (by_name, by_network, read) = futures_util::join!(by_name, by_network, read);
    by_network.and(by_name).and(read)
}

/// What the client's token says, if it is well formed.
pub fn credential(request: &Request) -> Result<Credential, Error> {
    Credential::parse(request.token()?).ok_or(Error::InvalidCredentials)
}

/// Every function does this: boxed, it is compiled once.
fn identify_and_read<'a>(
    app: &'a App,
    request: &'a Request,
    credential: &'a Credential,
    also: Vec<Key<()>>,
) -> BoxFuture<'a, Result<(Caller, Items), Error>> {
    let done = async move {
        let key = RequestKey::of(request, credential)?;
        let mut keys = what_identifies(credential, key.as_ref());
        keys.extend(also);
        let read = app.store.get_items(&keys);
        let (items, count) = quota::count_beside(app, request, credential.customer(), read).await?;
        Ok((identify(app, request, credential, key, &items, count).await?, items))
    };
    done.boxed()
}

/// What must be read to know the caller, and what the request's key stands for.
fn what_identifies(credential: &Credential, key: Option<&RequestKey>) -> Vec<Key<()>> {
    let customer = credential.customer();
    let own = match credential {
        Credential::Session { hash, .. } => key::session(customer, hash).untyped(),
        Credential::AccessKey { key, .. } => key::access_key(customer, *key).untyped(),
    };
    let mut keys = vec![
        key::customer(customer).untyped(),
        key::agent(customer, credential.agent()).untyped(),
        own,
    ];
    keys.extend(key.map(RequestKey::untyped));
    keys
}

async fn identify(
    app: &App,
    request: &Request,
    credential: &Credential,
    key: Option<RequestKey>,
    items: &Items,
    count: Count<'_>,
) -> Result<Caller, Error> {
    let now = app.now();
    let mut caller = count.admit(Caller::identify(credential, items, now)).await?;
    if let Some(key) = key {
        caller.earlier = key.look_up(request, items, now)?;
    }
    if request.has_token_in_url() {
        note_exposure(app, credential, items, now)?;
    }
    record_use(app, &caller, items, now)?;
    Ok(caller)
}

/// Records, beside the request, that a key was used today: once a day.
fn record_use(app: &App, caller: &Caller, items: &Items, now: Timestamp) -> Result<(), Error> {
    let (Identity::AccessKey(id), today) = (caller.identity, now.day()) else {
        return Ok(());
    };
    let customer = caller.customer.id;
    let found = items.get(&key::access_key(customer, id))?;
    if found.is_some_and(|key| key.tm_last_use.is_none_or(|day| day < today)) {
        let store = app.store.clone();
        app.beside(async move { store.record_access_key_use(customer, id, today).await });
    }
    Ok(())
}

/// A session whose token was in a URL does not last as long. That is written once in its life, beside
/// whatever else the request does.
fn note_exposure(
    app: &App,
    credential: &Credential,
    items: &Items,
    now: Timestamp,
) -> Result<(), Error> {
    let Credential::Session { customer, hash, .. } = credential else { return Ok(()) };
    let key = key::session(*customer, hash);
    if let Some(session) = items.get(&key)?.filter(|session| !session.url_exposed) {
        let store = app.store.clone();
        app.beside(async move { store.expose_session(&key, &session.exposed(now)).await });
    }
    Ok(())
}
