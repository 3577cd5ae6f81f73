//! Idempotency keys of requests, and the records that earlier requests with the same key have left.

use data_encoding::HEXLOWER;

use crate::domain::digest::sha256;
use crate::domain::idempotency::{self, IdempotencyRecord};
use crate::domain::{Credential, Error, Timestamp};
use crate::http::Request;
use crate::password;
use crate::store::Items;
use crate::store::idempotency::{key_used, register};
use crate::store::key::{self, Key};

/// A request's `Idempotency-Key`, scoped to agent and route: the same text from another agent, or for another
/// route, is another key.
pub(super) struct RequestKey {
    key: idempotency::IdempotencyKey,
    hash: String,
    at: Key<IdempotencyRecord>,
}

/// The record of an earlier request with the same idempotency key.
pub(super) struct Earlier {
    record: IdempotencyRecord,
    /// Fingerprint of the present request.
    fingerprint: String,
}

impl Earlier {
    /// Returns the error that ends the present request. If both requests have the same fingerprint, the
    /// client gets the replay of the earlier request instead of the error.
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

    /// Returns the record of an earlier request with this key, unless it has expired at `now`. Also registers
    /// the key, so that the transaction that writes the present request's first event writes a record, too.
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

    /// Returns the request's fingerprint, a hash of the whole request and its idempotency key. The key is not
    /// stored, so nobody can verify a guess of the body by the stored fingerprint. If the request contains a
    /// password, the fingerprint is as costly as a password hash, because the key itself may be guessable.
    fn fingerprint(&self, request: &Request) -> Result<String, Error> {
        let text = format!("{}\n{}", self.key.expose(), request.whole());
        if text.contains("password") {
            return Ok(HEXLOWER.encode(&password::digest(&text, &self.hash)?));
        }
        Ok(sha256(&text))
    }
}
