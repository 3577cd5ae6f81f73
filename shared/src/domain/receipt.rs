//! Erasure receipts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::actor::Role;
use super::erasure::{Erasure, Reason};
use super::{Customer, Id, Timestamp};

/// The issuer of receipts.
const ISSUER: &str = "tenure";

/// Claims of an erasure receipt: what was deleted and erased, when, and at whose request. Nothing in it is personal:
/// the account is named by its id, who asked by the role.
///
/// Receipts of one erasure are the same text: the fields have this order, the counts are sorted, and `iat` is the time
/// at which the erasure finished, whenever it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt<'a> {
    iss: &'static str,
    /// The account.
    sub: Id<Customer>,
    /// Id of the receipt: the account, the epoch in which the purge finished, and the time.
    jti: String,
    iat: i64,
    /// Number of deleted items, by kind.
    counts: BTreeMap<&'static str, u64>,
    /// Names of the account's fields that were erased.
    fields_erased: &'a [&'static str],
    tm_request: Option<Timestamp>,
    tm_due: Option<Timestamp>,
    tm_claim: Option<Timestamp>,
    tm_finish: Timestamp,
    requested_by: Option<Role>,
    reason: Option<Reason>,
    /// Hash of the plan that the deletion was bound to.
    plan: Option<&'a str>,
    software: Software,
}

/// The software that erased the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Software {
    name: &'static str,
    version: &'static str,
}

const SOFTWARE: Software = Software { name: ISSUER, version: env!("CARGO_PKG_VERSION") };

impl<'a> Receipt<'a> {
    /// Returns the receipt of an erasure that was verified to be complete at `tm_finish`: everything that the ledger
    /// counted is deleted, and these fields of the account are erased.
    #[must_use]
    pub fn new(
        ledger: &'a Erasure,
        fields_erased: &'a [&'static str],
        tm_finish: Timestamp,
    ) -> Self {
        let request = ledger.request.as_ref();
        let iat = tm_finish.seconds();
        Self {
            iss: ISSUER,
            sub: ledger.customer,
            jti: format!("{}.{}.{iat}", ledger.customer, ledger.epoch),
            iat,
            counts: ledger.found.iter().map(|(kind, count)| (kind.plural(), *count)).collect(),
            fields_erased,
            tm_request: request.map(|request| request.tm_request),
            tm_due: request.map(|request| request.tm_due),
            tm_claim: ledger.tm_claim,
            tm_finish,
            requested_by: request.map(|request| request.by.role),
            reason: request.map(|request| request.reason),
            plan: request.and_then(|request| request.plan.as_deref()),
            software: SOFTWARE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Actor;
    use crate::domain::actor::ActorType;
    use crate::domain::erasure::ErasureRequest;
    use crate::domain::owned::Kind;

    #[test]
    fn claims_have_a_fixed_order_and_no_others() {
        let at = |text| Timestamp::parse(text).unwrap();
        let customer = Id::parse("5e4a0680-804e-11ec-8477-2fea5968d85b").unwrap();
        let request = ErasureRequest {
            reason: Reason::Unregister,
            by: Actor {
                kind: ActorType::Agent,
                id: Some(uuid::Uuid::from_u128(1)),
                role: Role::CustomerAdmin,
                customer_id: Some(customer.uuid()),
            },
            tm_request: at("2026-10-01T08:00:00Z"),
            tm_due: at("2026-10-31T08:00:00Z"),
            plan: None,
        };
        let ledger = Erasure {
            request: Some(request),
            tm_claim: Some(at("2026-10-31T08:10:00.5Z")),
            epoch: 3,
            found: [(Kind::Number, 1_001), (Kind::Agent, 1), (Kind::Flow, 0)].into(),
            ..Erasure::blank(customer)
        };
        let version = env!("CARGO_PKG_VERSION");
        let receipt = Receipt::new(&ledger, &["name", "email"], at("2026-10-31T08:10:02.000123Z"));
        assert_eq!(
            serde_json::to_string(&receipt).unwrap(),
            [
                r#"{"iss":"tenure","sub":"5e4a0680-804e-11ec-8477-2fea5968d85b","#,
                r#""jti":"5e4a0680-804e-11ec-8477-2fea5968d85b.3.1793434202","iat":1793434202,"#,
                r#""counts":{"agents":1,"flows":0,"numbers":1001},"fields_erased":["name","email"],"#,
                r#""tm_request":"2026-10-01T08:00:00Z","tm_due":"2026-10-31T08:00:00Z","#,
                r#""tm_claim":"2026-10-31T08:10:00.5Z","tm_finish":"2026-10-31T08:10:02.000123Z","#,
                r#""requested_by":"customer_admin","reason":"unregister","plan":null,"#,
                &format!(r#""software":{{"name":"tenure","version":"{version}"}}}}"#),
            ]
            .concat()
        );
    }
}
