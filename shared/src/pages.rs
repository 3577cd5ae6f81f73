//! Fills in the placeholders of the account pages: settings of the installation, and what becomes of an
//! account's data when it is deleted (the erase rules).

use std::time::Duration;

use crate::app::Installation;
use crate::domain::Timestamp;
use crate::domain::notice::reminders;
use crate::domain::owned::Kind;
use crate::domain::receipt::BACKUPS_KEPT;
use crate::http::PageFile;
use crate::store::fates::Fates;

/// Returns the page with its placeholders filled in: the installation's settings, and lists of which items a deletion
/// removes, which fields it blanks, and what it keeps.
#[must_use]
pub fn completed(page: PageFile, installation: &Installation) -> PageFile {
    let fates = Fates::by_the_rules();
    let kinds = Kind::ALL.iter().filter(|kind| kind.is_announced());
    let kinds: Vec<_> = kinds.map(|kind| kind.plural()).collect();
    page.with_list("deleted", &fates.deleted)
        .with_list("erased", &fates.erased)
        .with_list("kept", &fates.kept)
        .with_text("kinds", &kinds.join(" "))
        .with_text("grace_days", &days(installation.grace))
        .with_text("reminder_days", &reminder_days().join(" "))
        .with_text("event_days", &days(installation.event_retention))
        .with_text("backup_days", &days(BACKUPS_KEPT))
        .with_text("app", &installation.app_name)
        .with_text("developer", &installation.developer_name)
        .with_text("support_url", installation.support_url.as_deref().unwrap_or_default())
}

/// Returns when reminders of a deletion are mailed, as numbers of days before it.
fn reminder_days() -> Vec<String> {
    let due = Timestamp::MAX;
    reminders(due).map(|(_, time)| days(due.since(time))).collect()
}

fn days(duration: Duration) -> String {
    (duration.as_secs() / 86_400).to_string()
}
