//! Idempotency keys of requests, and the records that earlier requests left under them.

use data_encoding::HEXLOWER;

use crate::domain::digest::sha256;
use crate::domain::idempotency::{self, IdempotencyRecord};
use crate::domain::{Credential, Error, Timestamp};
use crate::http::Request;
use crate::password;
use crate::store::Items;
use crate::store::idempotency::{key_used, register};
use crate::store::key::{self, Key};

/// A request's `Idempotency-Key`, scoped to its agent and route.
pub(super) struct RequestKey {
    key: idempotency::IdempotencyKey,
    hash: String,
    at: Key<IdempotencyRecord>,
}

/// Record of an earlier request with the same key.
pub(super) struct Earlier {
    record: IdempotencyRecord,
    /// Fingerprint of the present request.
    fingerprint: String,
}

impl Earlier {
    /// Returns the error that ends the present request. If both requests have the same fingerprint, the replay then
    /// answers.
    pub(super) fn refuse(self) -> Error {
        key_used(self.record, &self.fingerprint)
    }
}

impl RequestKey {
    /// Returns the key, if the client sent one.
    pub(super) fn of(request: &Request, credential: &Credential) -> Result<Option<Self>, Error> {
        let Some(key) = request.idempotency_key()? else { return Ok(None) };
        let hash = key.of(credential.agent(), request.route());
        let at = key::idempotency(credential.customer(), &hash);
        Ok(Some(Self { key, hash, at }))
    }

    /// Key of the idempotency record.
    pub(super) fn untyped(&self) -> Key<()> {
        self.at.untyped()
    }

    /// Returns the record of an earlier request with this key, unless it has expired at `now`. Registers the key, so
    /// that the present request's first event writes a record, too.
    pub(super) fn look_up(
        self,
        request: &Request,
        items: &Items,
        now: Timestamp,
    ) -> Result<Option<Earlier>, Error> {
        let found = items.get(&self.at)?.filter(|record| record.is_remembered(now));
        let fingerprint = self.fingerprint(request)?;
        register(self.at, fingerprint.clone(), now);
        Ok(found.map(|record| Earlier { record, fingerprint }))
    }

    /// Returns the request's fingerprint. It covers the key, which is not stored, so that a guess of the body
    /// cannot be verified. With a password in the request, it costs as much as a password hash, because the key
    /// itself may be guessable.
    fn fingerprint(&self, request: &Request) -> Result<String, Error> {
        let text = format!("{}\n{}", self.key.expose(), request.whole());
        if text.contains("password") {
            return Ok(HEXLOWER.encode(&password::digest(&text, &self.hash)?));
        }
        Ok(sha256(&text))
    }
}
