//! Authentication and authorisation: who calls, with which permission, within which rate limits.

mod caller;
mod idempotency;
mod quota;

pub use caller::{
    Caller, Identity, account_and_page, caller, caller_and_access_key, caller_and_account,
    caller_and_agent, caller_and_agent_of_password, caller_and_agent_of_sessions,
    caller_and_agent_with_step_up, caller_and_customer, caller_and_delivery, caller_and_registry,
    caller_and_resource, caller_and_revoked_key, caller_and_session, caller_of_participant,
    caller_with_password, caller_with_step_up, credential, reserve_login,
};
pub use quota::{admit_mail, count_attempt, count_ticket, network};
