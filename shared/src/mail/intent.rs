//! Carries out mail intents: requests that are answered by mail, such as a sign-up or a forgotten password.
//! Recipients are looked up here and not during the request, so that no response reveals who has an account.

use super::message::{Letter, Message};
use super::{Disposition, Mailer, Sending};
use crate::domain::mail_intent::Intent;
use crate::domain::notice::next_attempt;
use crate::domain::sign_up::SignUp;
use crate::domain::value::{AddressHash, Email};
use crate::domain::{Customer, Error, Id, IssuedToken, MailedToken, Purpose, Status};
use crate::password::is_of_nobody;
use crate::store::login::AgentWithLogin;
use crate::store::mail_intent::NewToken;

/// How to carry out a mail intent, decided after its recipient was looked up.
enum Answer {
    /// Send this message.
    Message(Box<Addressed>),
    /// Replace the intent by these.
    Others(Vec<Intent>),
    /// Drop the intent: what it is about does not exist, or it has been fulfilled since.
    Nothing,
}

/// A [`Letter`] with its recipient, the account that it is about (if any), and the token in its link (if it
/// has a link).
struct Addressed {
    to: Email,
    letter: Letter,
    account: Option<Id<Customer>>,
    token: Option<NewToken>,
}

impl Mailer {
    /// Tries to carry out an intent: sends its message, replaces it by other intents, or drops it.
    pub(super) async fn attempt_intent(
        &self,
        id: &str,
        sending: &Sending<'_>,
    ) -> Result<Disposition, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let Some(entry) = store.get_intent(id).await? else { return Ok(Disposition::NotDue) };
        // The index may be older than the entry: another run may already be carrying it out.
        if !entry.is_due(now) {
            return Ok(Disposition::NotDue);
        }
        if now >= entry.until() {
            store.delete_mail(id).await?;
            return Ok(Disposition::Dropped);
        }
        let Addressed { to, letter, account, token } = match self.answer(entry.intent()?).await? {
            Answer::Message(message) => *message,
            Answer::Others(others) => {
                let with_id = |intent| (self.app.new_id(now), intent);
                let others: Vec<_> = others.into_iter().map(with_id).collect();
                store.replace_intent(&entry, &others, now).await?;
                return Ok(Disposition::Dropped);
            }
            Answer::Nothing => {
                store.delete_mail(id).await?;
                return Ok(Disposition::Dropped);
            }
        };
        if let Some(disposition) = self.hold_back(id, &to, sending).await? {
            return Ok(disposition);
        }
        let next = next_attempt(entry.attempts, entry.until(), now);
        let claimed = next.unwrap_or_else(|| entry.until());
        if !store.claim_intent(&entry, claimed, token.as_ref()).await? {
            return Ok(Disposition::NotDue);
        }
        let link = token.as_ref().map(|token| self.link(token)).unwrap_or_default();
        let message = Message::letter(letter, account, &link)?;
        let sent = self.send(sending.from, &to, message).await;
        self.conclude(id, sent, next.is_none()).await
    }

    /// Looks up the recipient of an intent, and decides how to carry it out.
    async fn answer(&self, intent: Intent) -> Result<Answer, Error> {
        match intent {
            Intent::SignUp(sign_up) => self.answer_sign_up(sign_up).await,
            Intent::Resend(email) => self.answer_resend(&email).await,
            Intent::Verification { customer, address } => {
                self.answer_verification(customer, &address).await
            }
            Intent::PasswordReset { login, digest } => {
                let found = self.app.store.get_agent_of_login(login, &digest).await?;
                Ok(found.and_then(|found| self.password_link(found)).unwrap_or(Answer::Nothing))
            }
            Intent::Invitation { customer, agent } => {
                let found = self.app.store.get_agent_with_login(customer, agent).await?;
                // An agent who has a password by now has used the invitation already.
                let found = found.filter(|found| is_of_nobody(&found.login.password_hash));
                Ok(found.and_then(|found| self.password_link(found)).unwrap_or(Answer::Nothing))
            }
            Intent::Unregistration(email) => self.answer_unregistration(&email).await,
        }
    }

    /// Returns the letter with the link through which an agent sets a password: an invitation for an agent
    /// without a password, a reset for any other. `None` if there is no address to mail it to.
    fn password_link(&self, found: AgentWithLogin) -> Option<Answer> {
        let AgentWithLogin { customer, agent, login } = found;
        let to = agent.reset_address(&customer)?;
        let (purpose, letter) = if is_of_nobody(&login.password_hash) {
            (Purpose::Invitation, Letter::Invitation)
        } else {
            (Purpose::PasswordReset, Letter::PasswordReset)
        };
        let issued = IssuedToken {
            customer: Some(customer.id),
            agent: Some(agent.id),
            epoch: Some(agent.epoch),
            ..self.token(purpose, to.hash()?)
        };
        Some(self.with_link(to, letter, issued))
    }

    async fn answer_sign_up(&self, sign_up: SignUp) -> Result<Answer, Error> {
        let Some(address) = sign_up.email.hash() else { return Ok(Answer::Nothing) };
        let found = self.app.store.look_up_sign_up(&sign_up.email, &address).await?;
        let to = sign_up.email.clone();
        if found.is_known {
            let letter = Letter::AddressKnown;
            return Ok(Answer::of(Addressed { to, letter, account: None, token: None }));
        }
        let issued = IssuedToken { sign_up: Some(sign_up), ..self.token(Purpose::SignUp, address) };
        let plain = MailedToken::new(None, None, self.app.new_secret());
        let token = Some(NewToken { plain, issued, pending: found.pending });
        Ok(Answer::of(Addressed { to, letter: Letter::SignUp, account: None, token }))
    }

    /// Carries out a request to mail a verification link again. The request is replaced by new intents: one for the
    /// pending sign-up with this address, if there is one, and one for each account that has the address, three at
    /// most.
    async fn answer_resend(&self, email: &Email) -> Result<Answer, Error> {
        let Some(address) = email.hash() else { return Ok(Answer::Nothing) };
        let (store, now) = (&self.app.store, self.app.now());
        let pending = store.get_pending_sign_up(&address, now).await?;
        let mut others: Vec<_> = pending.into_iter().map(Intent::SignUp).collect();
        for customer in store.list_carriers(&address).await? {
            others.push(Intent::Verification { customer, address: address.clone() });
        }
        Ok(if others.is_empty() { Answer::Nothing } else { Answer::Others(others) })
    }

    async fn answer_verification(
        &self,
        customer: Id<Customer>,
        address: &AddressHash,
    ) -> Result<Answer, Error> {
        let account = self.app.store.get_customer(customer).await?;
        let is_meant = |account: &Customer| {
            account.status != Status::Deleted
                && !account.email_verified
                && account.email.hash().as_ref() == Some(address)
        };
        let Some(account) = account.filter(is_meant) else { return Ok(Answer::Nothing) };
        let issued = IssuedToken {
            customer: Some(customer),
            ..self.token(Purpose::EmailVerification, address.clone())
        };
        Ok(self.with_link(account.email, Letter::Verification, issued))
    }

    /// Returns the letter with a link that unregisters the account with this verified address. [`Answer::Nothing`] if
    /// there is no such account, if its deletion is already under way, or if it is the operators' own account, which
    /// cannot be deleted.
    async fn answer_unregistration(&self, email: &Email) -> Result<Answer, Error> {
        let Some(address) = email.hash() else { return Ok(Answer::Nothing) };
        // A verified address is reserved for its account, which comes first in the list.
        let Some(&customer) = self.app.store.list_carriers(&address).await?.first() else {
            return Ok(Answer::Nothing);
        };
        let account = self.app.store.get_customer(customer).await?;
        let account = account.filter(|account| !account.internals.system);
        let to = account.as_ref().and_then(Customer::verified_address);
        let (Some(account), Some(to)) = (account, to) else { return Ok(Answer::Nothing) };
        let issued = IssuedToken {
            customer: Some(customer),
            ..self.token(Purpose::Unregistration, address)
        };
        if issued.require_unregistration_of(&account, self.app.now()).is_err() {
            return Ok(Answer::Nothing);
        }
        Ok(self.with_link(to, Letter::Unregistration, issued))
    }

    /// Returns a letter about the account that the token is issued for, with a link that contains the token.
    fn with_link(&self, to: Email, letter: Letter, issued: IssuedToken) -> Answer {
        let account = issued.customer;
        let plain = MailedToken::new(account, issued.agent, self.app.new_secret());
        let token = Some(NewToken { plain, issued, pending: None });
        Answer::of(Addressed { to, letter, account, token })
    }

    /// Returns the record of a new token. The record names no account and no agent; the caller sets them.
    fn token(&self, purpose: Purpose, address: AddressHash) -> IssuedToken {
        IssuedToken {
            purpose,
            customer: None,
            agent: None,
            epoch: None,
            address,
            sign_up: None,
            tm_expire: self.app.now().plus(purpose.lifetime()),
        }
    }

    /// Returns the link to the page where the token is used. The token is in the URL's fragment, which
    /// browsers do not send, so no server and no log sees it. The fragment's `for` tells the page what to
    /// show.
    fn link(&self, token: &NewToken) -> String {
        let (page, shown) = match token.issued.purpose {
            Purpose::SignUp => ("verify", "&for=signup"),
            Purpose::EmailVerification => ("verify", ""),
            Purpose::PasswordReset => ("reset", ""),
            Purpose::Invitation => ("reset", "&for=invitation"),
            Purpose::Unregistration => ("unregister", ""),
        };
        format!("{}/account/{page}#token={}{shown}", self.public_url, token.plain.expose())
    }
}

impl Answer {
    fn of(message: Addressed) -> Self {
        Self::Message(Box::new(message))
    }
}
