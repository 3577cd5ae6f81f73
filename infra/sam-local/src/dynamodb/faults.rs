//! Fault injection: rules that say which calls fail, and how. A rule *strikes* a call when its fault is
//! injected into the call.
//!
//! [`Faults::strike`] chooses the fault of a call; `inject` carries it out.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    replica::{MAX_WRITES, Replica},
    request::Request,
};
use crate::error::Error;

/// Default of the rule's field `ms`: milliseconds for which `conflict_hold` keeps a transaction in flight.
const HOLD_MS: u64 = 10;

/// A kind of fault that a rule injects into calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// The calling process is killed; the call has no effect.
    CrashBefore,
    /// The call takes effect; then the calling process is killed.
    CrashAfter,
    /// The call takes effect, but its reply never comes.
    TimeoutAfterApply,
    /// The call is refused for lack of capacity.
    Throttle,
    /// The call is refused with status 500.
    InternalError,
    /// The call is refused as if a transaction in flight held one of its items.
    Conflict,
    /// A transaction stays in flight for `ms` milliseconds, and its items are locked meanwhile (see `holds`). Another
    /// fault may strike the same call, too; if that fault refuses the call, the items are not locked.
    ConflictHold,
    /// Only the first `items` entries of a batch are processed (default: half of them).
    Unprocessed,
    /// A page has at most `items` items (default: 1).
    ShortPages,
    /// A page has no items, and announces a further page.
    EmptyPages,
    /// An eventually consistent query sees the table as it was `writes` writes ago (default: 1).
    StaleIndex,
}

/// A rule: a fault, and conditions. The fault is injected only into calls that meet all conditions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    fault: Fault,
    /// Logical id of the calling function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// Logical id of a table that the call names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// Number of the first call that the rule strikes, counted from 1 among those that meet the conditions.
    /// Without `times`, the rule strikes only this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    /// Maximum number of calls that the rule strikes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// Probability that the rule strikes a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// Seed of the random numbers for `probability`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
}

/// Operations that faults can strike.
pub(super) const OPERATIONS: [&str; 10] = [
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

/// The rules in force.
#[derive(Default)]
pub(super) struct Faults(Vec<Armed>);

/// A rule in force, with its counters.
struct Armed {
    rule: Rule,
    /// Number of calls that met the rule's conditions.
    seen: u64,
    /// Number of calls that the rule struck.
    hits: u64,
    random: SplitMix64,
    replica: Option<Arc<Mutex<Replica>>>,
}

/// The fault chosen for one call, with its settings.
pub(super) struct Strike {
    pub(super) fault: Fault,
    pub(super) items: Option<usize>,
    pub(super) writes: usize,
    /// The outdated copy of the tables that a stale query reads.
    pub(super) replica: Option<Arc<Mutex<Replica>>>,
}

/// Maximum number of rules that can be in force at once.
const MAX_RULES: usize = 1_000;

/// Maximum number of `stale_index` rules that can be in force at once. Each of them has its own copy of the
/// tables.
const MAX_COPIES: usize = 10;

/// Parses a list of rules in JSON; `functions` and `tables` are the template's logical ids.
pub(super) fn parse(
    body: &[u8],
    functions: &[String],
    tables: &[&str],
) -> Result<Vec<Rule>, Error> {
    let rules: Vec<Rule> = serde_json::from_slice(body).map_err(|error| {
        Error::new(format!("send a list of rules, such as [{{\"fault\": \"throttle\"}}]: {error}"))
    })?;
    let copies = rules.iter().filter(|rule| rule.fault == Fault::StaleIndex).count();
    if rules.len() > MAX_RULES || copies > MAX_COPIES {
        let complaint = format!("at most {MAX_RULES} rules, and {MAX_COPIES} of stale_index");
        return Err(Error::new(complaint));
    }
    for (index, rule) in rules.iter().enumerate() {
        rule.check(functions, tables)
            .map_err(|complaint| Error::new(format!("rule {}: {complaint}", index + 1)))?;
    }
    Ok(rules)
}

impl Fault {
    /// Returns the operations that the fault can strike.
    const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Conflict => {
                &["DeleteItem", "PutItem", "TransactGetItems", "TransactWriteItems", "UpdateItem"]
            }
            Self::ConflictHold => &["TransactWriteItems"],
            Self::Unprocessed => &["BatchGetItem", "BatchWriteItem"],
            Self::ShortPages | Self::EmptyPages | Self::StaleIndex => &["Query"],
            _ => &OPERATIONS,
        }
    }

    /// Whether the fault prevents the call from taking effect.
    pub(super) const fn refuses(self) -> bool {
        matches!(self, Self::CrashBefore | Self::Throttle | Self::InternalError | Self::Conflict)
    }
}

impl Rule {
    fn check(&self, functions: &[String], tables: &[&str]) -> Result<(), String> {
        if let Some(function) = &self.function
            && !functions.contains(function)
        {
            return Err(format!("function: the template has no function {function}"));
        }
        if let Some(table) = &self.table
            && !tables.contains(&table.as_str())
        {
            return Err(format!("table: there is no {table}; there are {}", tables.join(", ")));
        }
        if let Some(operation) = &self.operation {
            let known = self.fault.operations();
            if !known.contains(&operation.as_str()) {
                let known = known.join(", ");
                return Err(format!("operation: this fault strikes {known}, not {operation}"));
            }
        }
        match (self.nth, self.times, self.probability, self.seed) {
            (Some(0), ..) => return Err("nth: calls are counted from 1".to_owned()),
            (_, Some(0), ..) => return Err("times: must be at least 1".to_owned()),
            (Some(_), _, Some(_), _) => {
                return Err("nth: give nth or probability, not both".to_owned());
            }
            (_, _, Some(chance), _) if !(chance > 0.0 && chance <= 1.0) => {
                return Err("probability: must be more than 0, and 1 at most".to_owned());
            }
            (_, _, None, Some(_)) => return Err("seed: goes with probability".to_owned()),
            _ => {}
        }
        match (self.fault, self.ms) {
            (Fault::ConflictHold, Some(0)) => return Err("ms: must be at least 1".to_owned()),
            (Fault::ConflictHold, _) | (_, None) => {}
            _ => return Err("ms: goes with conflict_hold".to_owned()),
        }
        match (self.fault, self.items, self.writes) {
            (Fault::ShortPages, Some(0), _) => Err("items: must be at least 1".to_owned()),
            (Fault::Unprocessed | Fault::ShortPages, _, None) => Ok(()),
            (_, Some(_), _) => Err("items: goes with unprocessed and short_pages".to_owned()),
            (Fault::StaleIndex, _, Some(writes)) if !(1..=MAX_WRITES).contains(&writes) => {
                Err(format!("writes: must be at least 1, and {MAX_WRITES} at most"))
            }
            (Fault::StaleIndex, ..) | (_, _, None) => Ok(()),
            (_, _, Some(_)) => Err("writes: goes with stale_index".to_owned()),
        }
    }

    fn fits(&self, function: Option<&str>, request: &Request<'_>) -> bool {
        self.fault.operations().contains(&request.operation)
            && self.function.as_deref().is_none_or(|wanted| function == Some(wanted))
            && self.operation.as_deref().is_none_or(|wanted| request.operation == wanted)
            && self.table.as_deref().is_none_or(|wanted| request.names(wanted))
            && (self.fault != Fault::StaleIndex || request.may_be_stale())
    }

    fn times(&self) -> u64 {
        self.times.unwrap_or(if self.nth.is_some() { 1 } else { u64::MAX })
    }
}

impl Faults {
    /// Replaces the rules. `copy` makes a copy of the tables; it is called for each `stale_index` rule.
    pub(super) fn set(
        &mut self,
        rules: Vec<Rule>,
        copy: impl Fn() -> Result<Replica, Error>,
    ) -> Result<(), Error> {
        let arm = |rule: Rule| {
            let stale = rule.fault == Fault::StaleIndex;
            let replica = stale.then(&copy).transpose()?.map(|copy| Arc::new(Mutex::new(copy)));
            let random = SplitMix64(rule.seed.unwrap_or_default());
            Ok(Armed { rule, seen: 0, hits: 0, random, replica })
        };
        self.0 = rules.into_iter().map(arm).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Returns the rules in JSON, each with its counters: `seen` for the calls that met the conditions, `hits` for the
    /// calls struck.
    pub(super) fn report(&self) -> Value {
        let shown = |armed: &Armed| {
            let mut shown = json!(armed.rule);
            shown["seen"] = json!(armed.seen);
            shown["hits"] = json!(armed.hits);
            shown
        };
        self.0.iter().map(shown).collect()
    }

    /// Returns the fault to inject into a call: that of the first rule that strikes it. Every rule whose
    /// conditions the call meets counts the call. Rules for `conflict_hold` are left to [`hold`](Self::hold).
    pub(super) fn strike(
        &mut self,
        function: Option<&str>,
        request: &Request<'_>,
    ) -> Option<Strike> {
        let mut strike = None;
        for armed in self.0.iter_mut().filter(|armed| armed.rule.fault != Fault::ConflictHold) {
            if armed.strikes(function, request) && strike.is_none() {
                armed.hits += 1;
                strike = Some(Strike {
                    fault: armed.rule.fault,
                    items: armed.rule.items,
                    writes: armed.rule.writes.unwrap_or(1),
                    replica: armed.replica.clone(),
                });
            }
        }
        strike
    }

    /// Returns the time for which `conflict_hold` rules keep a transaction in flight, with its items locked:
    /// the longest time of the rules that strike it; `None` if none does.
    pub(super) fn hold(
        &mut self,
        function: Option<&str>,
        request: &Request<'_>,
    ) -> Option<Duration> {
        let mut longest = None;
        for armed in self.0.iter_mut().filter(|armed| armed.rule.fault == Fault::ConflictHold) {
            if armed.strikes(function, request) {
                armed.hits += 1;
                let time = Duration::from_millis(armed.rule.ms.unwrap_or(HOLD_MS));
                longest = longest.max(Some(time));
            }
        }
        longest
    }

    /// Returns the copies of the tables that stale queries read. The caller must pass every write to each of
    /// them.
    pub(super) fn replicas(&self) -> Vec<Arc<Mutex<Replica>>> {
        self.0.iter().filter_map(|armed| armed.replica.clone()).collect()
    }
}

impl Armed {
    /// Counts a call that meets the rule's conditions, and returns whether the rule strikes it.
    fn strikes(&mut self, function: Option<&str>, request: &Request<'_>) -> bool {
        if !self.rule.fits(function, request) {
            return false;
        }
        self.seen += 1;
        let by_chance = self.rule.probability.is_none_or(|chance| self.random.next() < chance);
        by_chance && self.seen >= self.rule.nth.unwrap_or(1) && self.hits < self.rule.times()
    }
}

/// The random number generator `SplitMix64`.
struct SplitMix64(u64);

impl SplitMix64 {
    /// Returns a random number from 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        f64::from(u32::try_from(mixed >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}
