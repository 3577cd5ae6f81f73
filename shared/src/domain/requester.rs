//! Requesters: who asked for a change of an account.

use serde::{Deserialize, Serialize};

/// The requester's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An agent who administers the account.
    CustomerAdmin,
    /// A program with a key of the account.
    AccessKey,
    /// An operator.
    ProjectAdmin,
    /// This system, when it repeats an erasure.
    System,
}

/// Who asked. The id is an agent's or an access key's, which identifies nobody once the agent is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// Role.
    pub role: Role,
    /// Id of the agent or access key; empty for the system.
    pub id: String,
}
