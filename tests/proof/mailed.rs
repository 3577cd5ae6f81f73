//! Issues mailed tokens (which mailed links carry) as the mail sender does, but sends no mail.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::domain::mail_intent::Intent;
use shared::domain::sign_up::SignUp;
use shared::domain::terms::Terms;
use shared::domain::value::{Email, FromText as _, Name};
use shared::domain::{Agent, Customer, Error, Id, IssuedToken, MailedToken, Purpose};
use shared::platform::Deadline;
use shared::store::Store;
use shared::store::mail::DueItem;
use shared::store::mail_intent::NewToken;

/// A request for a mailed token: for an agent, for an account or, if both are `None`, for a sign-up.
#[derive(Deserialize)]
pub(crate) struct Call {
    email: String,
    customer: Option<Id<Customer>>,
    /// The agent whose forgotten password the token sets.
    agent: Option<Id<Agent>>,
    /// Whether the token unregisters the account.
    #[serde(default)]
    unregisters: bool,
}

#[derive(Serialize)]
pub(crate) struct Mailed {
    token: String,
}

/// Stores a request for a mail and handles it as the mail sender does, up to the write that stores the
/// token's record. Returns the token.
pub(crate) async fn handle(app: &'static App, call: Call, _: Deadline) -> Result<Mailed, Error> {
    let (store, now) = (&app.store, app.now());
    let email = Email::from_text(&call.email).expect("an address");
    let address = email.hash().expect("an address");
    let terms = Terms { version: "1".to_owned(), tm_accept: now };
    let sign_up = SignUp { email: email.clone(), name: Name::default(), terms };
    let (purpose, intent) = match (call.customer, call.agent) {
        (Some(customer), Some(agent)) => {
            (Purpose::PasswordReset, Intent::Invitation { customer, agent })
        }
        (Some(_), None) if call.unregisters => {
            (Purpose::Unregistration, Intent::Unregistration(email))
        }
        (Some(customer), None) => {
            let address = address.clone();
            (Purpose::EmailVerification, Intent::Verification { customer, address })
        }
        (None, _) => (Purpose::SignUp, Intent::SignUp(sign_up.clone())),
    };
    store.insert_intent(&intent, app.new_id(now), now).await?;
    let due = store.list_due_mail(Store::beginning_of_mail(), now).await?;
    let is_intent = |item: &DueItem| match item {
        DueItem::Intent(id) => Some(id.clone()),
        _ => None,
    };
    let id = due.items.iter().find_map(is_intent).expect("the intent");
    let entry = store.get_intent(&id).await?.expect("the intent");
    let plain = MailedToken::new(call.customer, call.agent, app.new_secret());
    let token = plain.expose().to_owned();
    let issued = IssuedToken {
        purpose,
        customer: call.customer,
        agent: call.agent,
        // The agent's sessions have not been ended yet.
        epoch: call.agent.map(|_| 0),
        address,
        sign_up: call.customer.is_none().then_some(sign_up),
        tm_expire: now.plus(purpose.lifetime()),
    };
    let new = NewToken { plain, issued, pending: None };
    assert!(store.claim_intent(&entry, entry.until(), Some(&new)).await?);
    store.delete_mail(&entry.id).await?;
    Ok(Mailed { token })
}
