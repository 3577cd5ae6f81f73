//! The accounts of the demonstration: who they are and what becomes of them.
//!
//! Days are counted backwards from day 0, the day on which the demonstration is shown: day 24 is 24 days earlier. The
//! grace period is 30 days, so an account unregistered on day 24 has six days left, and one unregistered on day 45 was
//! erased on day 15. Every company and person is invented, and every host is under `.example`.

use super::participants::{ARCHIVE, ARCHIVE_STOPS};

/// Number of days before day 0 on which the story begins.
pub(super) const FIRST_DAY: u32 = 75;

/// Day from which the demonstration kills every run of the purge, so that one purge stays unfinished: the first run
/// while it deletes an account's items, each later run at its first DynamoDB call.
pub(super) const PURGES_CRASH: u32 = 2;

/// An account of the demonstration, and its story.
pub(super) struct Account {
    pub(super) company: &'static str,
    pub(super) person: &'static str,
    /// Day on which the account is created.
    pub(super) since: u32,
    pub(super) entry: Entry,
    pub(super) webhook: Option<Receiver>,
    /// Later acts on the account in chronological order, each with its day.
    pub(super) acts: Vec<(u32, Act)>,
}

/// The way in which an account is created.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The owner signs up, and follows the mailed link.
    SignsUp,
    /// An operator creates the account, and its owner follows the mailed link to verify the address.
    Made,
    /// An operator creates the account, and its address is never verified.
    Unverified,
}

/// The program that an account's webhooks are sent to.
#[derive(Clone, Copy)]
pub(super) enum Receiver {
    /// Accepts every webhook request.
    Works,
    /// Cannot be reached: its host no longer exists.
    Fails,
}

/// Something that an account's owner or an operator does with the account.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// The owner unregisters, with the grace period.
    Leave,
    /// The owner unregisters, without a grace period.
    LeaveNow,
    /// The owner recovers the account.
    Recover,
    /// An operator freezes the account.
    Freeze,
    /// An operator requests a plan of the account's erasure, and deletes the account with the plan's digest.
    Delete,
    /// An operator suspends the account.
    Suspend,
    /// An operator ends the suspension.
    Resume,
    /// An operator places a hold with this name, for this reason.
    Hold(&'static str, &'static str),
    /// An operator lifts the hold of this name.
    Lift(&'static str),
    /// An operator waives the answer of this participant, for this reason.
    Waive(&'static str, &'static str),
    /// The owner invites this number of agents.
    Invite(u32),
    /// The demonstration stores an item of a kind that this version does not know, as a newer version that was rolled
    /// back would have left it.
    StoreUnknownKind,
}

impl Act {
    /// Whether the act causes the erasure of the account on the same day.
    pub(super) const fn erases(self) -> bool {
        matches!(self, Self::LeaveNow | Self::Delete)
    }

    /// Whether the account's own agents and keys can change anything after the act; `None` if the act does not affect
    /// that.
    const fn lets_work(self) -> Option<bool> {
        match self {
            Self::Leave | Self::LeaveNow | Self::Freeze | Self::Delete | Self::Suspend => {
                Some(false)
            }
            Self::Recover | Self::Resume => Some(true),
            _ => None,
        }
    }
}

/// Returns all accounts, grouped by their state on day 0.
pub(super) fn accounts() -> Vec<Account> {
    vec![
        // Active.
        signs_up("Alder & Finch Joinery", "Nora Finch", 75).webhook(Receiver::Works),
        signs_up("Bluewater Dental", "Priya Raman", 71).webhook(Receiver::Works),
        signs_up("Copper Kettle Coffee", "Tomas Varga", 66),
        made("Dovetail Logistics", "Ines Caldera", 74).webhook(Receiver::Works),
        made("Evergreen Veterinary", "Hugo Brandt", 52).on(30, Act::Suspend).on(28, Act::Resume),
        signs_up("Fairweather Sailing", "Lotte Jansen", 33),
        made("Granite Peak Outfitters", "Samuel Okafor", 12),
        // Active; their webhooks fail.
        made("Harborline Freight", "Mei Tanaka", 69).webhook(Receiver::Fails),
        signs_up("Inkwell Press", "Clara Duval", 40).webhook(Receiver::Fails),
        made("Juniper Street Bakery", "Anton Weiss", 9).webhook(Receiver::Fails),
        // Active again: recovered by their owners, one after five days, one two days before its deletion was due.
        signs_up("Kingfisher Films", "Amara Diallo", 63).on(20, Act::Leave).on(15, Act::Recover),
        made("Lanternlight Hotels", "Jonas Lind", 72).on(50, Act::Leave).on(22, Act::Recover),
        // Not verified.
        made("Meadowlark Yoga", "Sofia Marino", 18).unverified(),
        made("Northgate Tyres", "Pavel Novak", 6).unverified(),
        made("Orchard Lane Nursery", "Ruth Abel", 1).unverified(),
        // Frozen by their owners: 29, 25, 18, 11, 6, 3 and 1 days left.
        signs_up("Papertrail Accounting", "Elias Berg", 30).on(1, Act::Leave),
        made("Quarry Road Cycles", "Fatima Zahra", 61).on(5, Act::Leave),
        signs_up("Riverbend Music School", "Milan Horvat", 48)
            .webhook(Receiver::Works)
            .on(12, Act::Leave),
        made("Saltmarsh Surveyors", "Greta Olsen", 70).on(19, Act::Leave),
        signs_up("Tern Ferries", "Iris Holm", 64).on(24, Act::Leave),
        made("Umber Ceramics", "Luca Ferri", 57).on(27, Act::Leave),
        signs_up("Velvet Fox Theatre", "Zoe Carter", 73).on(29, Act::Leave),
        // Frozen by an operator.
        made("Wavecrest Telecom", "Derek Stone", 44).on(9, Act::Freeze),
        signs_up("Xylo Toys", "Mina Park", 55).on(20, Act::Freeze),
        // Suspended; the second has unregistered meanwhile.
        signs_up("Yellowbrick Marketing", "Brett Long", 26).on(4, Act::Suspend),
        signs_up("Zephyr Call Centre", "Olga Petrov", 38).on(10, Act::Suspend).on(8, Act::Leave),
        // Held: an active one, a frozen one, and one that would have been erased eleven days ago.
        made("Amberfield Insurance", "Karl Voss", 68).on(14, Act::Hold("audit-2026", AUDIT)),
        signs_up("Birchwood Legal", "Helen Marsh", 59)
            .on(16, Act::Leave)
            .on(13, Act::Hold("case-7", CASE)),
        made("Cobalt Securities", "Victor Rossi", 74)
            .on(41, Act::Leave)
            .on(35, Act::Hold("case-12", CASE))
            .on(30, Act::Hold("audit-2026", AUDIT))
            .on(17, Act::Lift("audit-2026")),
        // Due since today and since yesterday, but not purged: for two days, every purge run has been killed.
        signs_up("Driftwood Rentals", "Paul Greene", 60).on(30, Act::Leave),
        made("Elmwood Printing", "Nadia Sorel", 67).on(31, Act::Leave),
        // Half purged: it has more agents than the purge deletes in one step, and the purge is killed after the first.
        signs_up("Firefly Events", "Oscar Lund", 65)
            .on(40, Act::Invite(60))
            .on(PURGES_CRASH + GRACE, Act::Leave),
        // Quarantined: the purge does not end, because of an item of a kind that it does not know.
        made("Goldcrest Opticians", "Emma Reyes", 62)
            .on(45, Act::StoreUnknownKind)
            .on(36, Act::Leave),
        // The archive's answer is missing: past the deadline, not yet past it, and waived.
        signs_up("Hollyhock Florists", "Daniel Cho", 58).on(37, Act::Leave),
        made("Ironbridge Tools", "Sven Aker", 56).on(33, Act::Leave),
        signs_up("Jasmine Court Clinic", "Leila Haddad", 54)
            .on(ARCHIVE_STOPS + GRACE, Act::Leave)
            .on(2, Act::Waive(ARCHIVE, "The archive is shut down; its operator has confirmed it")),
        // Erased, with a receipt: after the grace period, at once by their owner, by an operator's plan.
        signs_up("Kestrel Couriers", "Robin Hale", 75).on(58, Act::Leave),
        made("Larkspur Stationers", "Vera Kovac", 73).on(45, Act::Leave),
        signs_up("Mistral Kitesurf", "Theo Blanc", 47).on(21, Act::LeaveNow),
        made("Nightjar Radio", "Ada Quinn", 51).on(42, Act::Freeze).on(28, Act::Delete),
    ]
}

/// Grace period: number of days from unregistering an account to its deletion.
const GRACE: u32 = 30;

const AUDIT: &str = "Audit of 2026: invoices are being reviewed";
const CASE: &str = "Preservation order of the court";

const fn signs_up(company: &'static str, person: &'static str, since: u32) -> Account {
    Account { company, person, since, entry: Entry::SignsUp, webhook: None, acts: Vec::new() }
}

const fn made(company: &'static str, person: &'static str, since: u32) -> Account {
    Account { company, person, since, entry: Entry::Made, webhook: None, acts: Vec::new() }
}

impl Account {
    fn unverified(self) -> Self {
        Self { entry: Entry::Unverified, ..self }
    }

    fn webhook(self, receiver: Receiver) -> Self {
        Self { webhook: Some(receiver), ..self }
    }

    fn on(mut self, day: u32, act: Act) -> Self {
        self.acts.push((day, act));
        self
    }

    /// Returns the acts of this day.
    pub(super) fn acts_on(&self, day: u32) -> impl Iterator<Item = Act> {
        self.acts.iter().filter(move |(on, _)| *on == day).map(|(_, act)| *act)
    }

    /// Whether the account's own people can work with it in the morning of this day, before the acts of the day: the
    /// account exists, and is neither frozen nor suspended nor deleted.
    pub(super) fn works_on(&self, day: u32) -> bool {
        let earlier = self.acts.iter().filter(|(on, _)| *on > day);
        let last = earlier.filter_map(|(_, act)| act.lets_work()).next_back();
        self.since >= day && last.unwrap_or(true)
    }

    /// Returns the host name of the company: `tern-ferries.example`.
    pub(super) fn host(&self) -> String {
        let words = self.company.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<_> =
            words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
        format!("{}.example", words.join("-"))
    }

    /// Returns the owner's e-mail address, which is the user name, too: `iris@tern-ferries.example`.
    pub(super) fn email(&self) -> String {
        let first_name = self.person.split(' ').next().unwrap_or_default();
        self.address_of(first_name)
    }

    /// Returns the e-mail address of a person with this first name in the company.
    pub(super) fn address_of(&self, first_name: &str) -> String {
        format!("{}@{}", first_name.to_ascii_lowercase(), self.host())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Act, FIRST_DAY, accounts};

    #[test]
    fn there_are_forty_accounts_with_a_host_each() {
        let hosts: BTreeSet<_> = accounts().iter().map(super::Account::host).collect();
        assert_eq!((accounts().len(), hosts.len()), (40, 40));
        assert!(hosts.contains("alder-finch-joinery.example"), "{hosts:?}");
    }

    #[test]
    fn stories_are_told_in_order_from_the_first_day_on() {
        for account in accounts() {
            let days = account.acts.iter().map(|(day, _)| *day);
            let days: Vec<_> = [FIRST_DAY, account.since].into_iter().chain(days).collect();
            assert!(days.is_sorted_by(|before, after| before >= after), "{}", account.company);
        }
    }

    #[test]
    fn nobody_works_with_an_account_that_is_frozen() {
        let came_back =
            accounts().into_iter().find(|one| one.company == "Kingfisher Films").unwrap();
        let worked = [64, 63, 21, 20, 16, 15, 0].map(|day| came_back.works_on(day));
        assert_eq!(worked, [false, true, true, true, false, false, true]);
        assert!(matches!(came_back.acts_on(20).collect::<Vec<_>>()[..], [Act::Leave]));
    }
}
