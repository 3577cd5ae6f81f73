//! Requests that are sent again.

use data_encoding::HEXLOWER;

use crate::domain::digest::sha256;
use crate::domain::idempotency::{self, IdempotencyRecord};
use crate::domain::{Credential, Error, Timestamp};
use crate::http::Request;
use crate::password;
use crate::store::Items;
use crate::store::idempotency::promise;
use crate::store::key::{self, Key};

/// The key of a request, for what its caller asks for.
pub(super) struct RequestKey {
    key: idempotency::IdempotencyKey,
    hash: String,
    at: Key<IdempotencyRecord>,
}

/// What an earlier request with the same key has done.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    done: IdempotencyRecord,
    /// Stands for the request that is made now.
    request: String,
}

impl Earlier {
    pub(super) fn is_same(&self) -> bool {
        self.done.request == self.request
    }

    pub(super) fn told(self) -> Error {
        self.done.told_to(&self.request)
    }
}

impl RequestKey {
    /// The key, if the client sent one. It is its caller's own, and of one operation.
    pub(super) fn of(request: &Request, credential: &Credential) -> Result<Option<Self>, Error> {
        let Some(key) = request.idempotency_key()? else { return Ok(None) };
        let hash = key.of(credential.agent(), request.route());
        let at = key::idempotency(credential.customer(), &hash);
        Ok(Some(Self { key, hash, at }))
    }

    /// Where it is remembered.
    pub(super) fn untyped(&self) -> Key<()> {
        self.at.untyped()
    }

    /// What an earlier request has done, if it is remembered at `now`; from here on, what this one does
    /// will be.
    pub(super) fn look_up(
        self,
        request: &Request,
        items: &Items,
        now: Timestamp,
    ) -> Result<Option<Earlier>, Error> {
        let found = items.get(&self.at)?.filter(|done| done.is_remembered(now));
        let request = self.fingerprint(request)?;
        promise(self.at, request.clone(), now);
        Ok(found.map(|done| Earlier { done, request }))
    }

    /// Stands for the request, and gives nothing of it away: the key, which is not stored, is part of it.
    /// Should that be easy to guess, at least no password must be.
    fn fingerprint(&self, request: &Request) -> Result<String, Error> {
        let text = format!("{}\n{}", self.key.expose(), request.whole());
        if text.contains("password") {
            return Ok(HEXLOWER.encode(&password::digest(&text, &self.hash)?));
        }
        Ok(sha256(&text))
    }
}
