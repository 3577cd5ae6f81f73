//! Builds mail messages: subject, plain text, and the same text as HTML.

use askama::Template;

use crate::domain::notice::{Notice, NoticeType};
use crate::domain::{Customer, Error, Id, Timestamp};

/// A message: its subject, and its body as plain text and as HTML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Subject line of the message.
    pub(super) subject: &'static str,
    /// Plain-text body.
    pub(super) text: String,
    /// HTML body with the words of the plain text, without images and scripts. The text of a link is its URL.
    pub(super) html: String,
}

#[derive(Template)]
#[template(path = "notice.txt")]
struct Text<'a> {
    notice_type: NoticeType,
    account: Id<Customer>,
    occasion: String,
    deletion: String,
    proof: &'a Proof,
    public_url: &'a str,
    /// URL of the page where the owner signs in.
    page: &'a str,
}

/// Proof of an account's erasure, for the last mail to its owner.
#[derive(Default)]
pub(super) struct Proof {
    /// The signed receipt.
    pub(super) receipt: String,
    /// URL of the page that shows the erasure's status; contains a ticket, which gives access to it.
    pub(super) status_url: String,
}

#[derive(Template)]
#[template(path = "layout.html")]
struct Layout<'a> {
    subject: &'a str,
    paragraphs: Vec<Paragraph<'a>>,
}

struct Paragraph<'a> {
    text: &'a str,
    is_link: bool,
}

/// Kind of message that answers a request by mail (a mail intent).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// Has the link that completes a sign-up.
    SignUp,
    /// Says that the address of a sign-up has an account already.
    AddressKnown,
    /// Has the link that proves an account's address.
    Verification,
    /// Has the link that sets a forgotten password.
    PasswordReset,
    /// Has the link that sets an agent's first password.
    Invitation,
    /// Has the link that unregisters an account.
    Unregistration,
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct LetterText<'a> {
    letter: Letter,
    account: String,
    link: &'a str,
}

impl Message {
    /// Returns the message for a notice to the owner of `account` about a change. For the notice that the
    /// account is erased, `proof` is set: that message contains the receipt, and says where to get the keys
    /// that verify it.
    pub(super) fn new(
        notice: &Notice,
        account: Id<Customer>,
        proof: Option<&Proof>,
        public_url: &str,
    ) -> Result<Self, Error> {
        let notice_type = notice.notice_type;
        let none = Proof::default();
        let proof = proof.unwrap_or(&none);
        let page = format!("{public_url}/account");
        let link = if proof.status_url.is_empty() { &page } else { &proof.status_url };
        let text = Text {
            notice_type,
            account,
            occasion: moment(notice.tm_event),
            deletion: notice.tm_deletion_scheduled.map(moment).unwrap_or_default(),
            proof,
            public_url,
            page: &page,
        };
        Self::laid_out(subject(notice_type), text.render().map_err(internal)?, link)
    }

    /// Returns the message for a letter. `account` is `None` in letters that name no account, and `link` is
    /// empty in letters without a link.
    pub(super) fn letter(
        letter: Letter,
        account: Option<Id<Customer>>,
        link: &str,
    ) -> Result<Self, Error> {
        let account = account.map(|id| id.to_string()).unwrap_or_default();
        let text = LetterText { letter, account, link };
        Self::laid_out(letter.subject(), text.render().map_err(internal)?, link)
    }

    fn laid_out(subject: &'static str, text: String, link: &str) -> Result<Self, Error> {
        let paragraph = |text| Paragraph { text, is_link: !link.is_empty() && text == link };
        let layout = Layout { subject, paragraphs: text.split("\n\n").map(paragraph).collect() };
        let html = layout.render().map_err(internal)?;
        Ok(Self { subject, text, html })
    }
}

impl Letter {
    const fn subject(self) -> &'static str {
        match self {
            Self::SignUp => "Your new account: confirm your address",
            Self::AddressKnown => "You have an account already",
            Self::Verification => "Confirm the address of your account",
            Self::PasswordReset => "Choose a new password",
            Self::Invitation => "You are invited: choose a password",
            Self::Unregistration => "Delete your account",
        }
    }
}

const fn subject(notice_type: NoticeType) -> &'static str {
    match notice_type {
        NoticeType::Frozen => "Your account is frozen and will be deleted",
        NoticeType::WeekLeft => "Your account will be deleted in a week",
        NoticeType::DayLeft => "Your account will be deleted tomorrow",
        NoticeType::Recovered => "Your account was recovered",
        NoticeType::Erased => "Your account was deleted: the receipt",
        NoticeType::AddressChanged => "Your account has another e-mail address",
        NoticeType::PasswordChanged => "A password of your account was changed",
        NoticeType::AdminKeyCreated => "An access key with admin rights was created",
        NoticeType::Suspended => "Your account was suspended",
    }
}

/// Returns a time as text for people, such as `2026-12-30 14:22 UTC`.
fn moment(time: Timestamp) -> String {
    let text = time.fixed();
    let part = |range| text.get(range).unwrap_or_default();
    format!("{} {} UTC", part(0..10), part(11..16))
}

fn internal(error: askama::Error) -> Error {
    Error::Internal(format!("a mail template: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [NoticeType; 9] = [
        NoticeType::Frozen,
        NoticeType::WeekLeft,
        NoticeType::DayLeft,
        NoticeType::Recovered,
        NoticeType::Erased,
        NoticeType::AddressChanged,
        NoticeType::PasswordChanged,
        NoticeType::AdminKeyCreated,
        NoticeType::Suspended,
    ];

    const STATUS_URL: &str = "https://api.example.com/account#ticket=vbt_1";

    fn message(notice_type: NoticeType, receipt: &str) -> Message {
        let now = Timestamp::parse("2026-11-30T14:22:35Z").unwrap();
        let deletion = Timestamp::parse("2026-12-30T14:22:35Z");
        let notice = Notice {
            notice_type,
            not_before: now,
            until: now,
            tm_event: now,
            tm_deletion_scheduled: deletion,
            to: None,
        };
        let account = Id::new(now, [1; 10]);
        let proof = Proof { receipt: receipt.to_owned(), status_url: STATUS_URL.to_owned() };
        let proof = (notice_type == NoticeType::Erased).then_some(&proof);
        Message::new(&notice, account, proof, "https://api.example.com").unwrap()
    }

    #[test]
    fn every_message_names_the_account_and_its_date() {
        for notice_type in ALL {
            let Message { subject, text, html } = message(notice_type, "a.b.c");
            let account =
                Id::<Customer>::new(Timestamp::parse("2026-11-30T14:22:35Z").unwrap(), [1; 10])
                    .to_string();
            let date = match notice_type {
                NoticeType::Frozen | NoticeType::WeekLeft | NoticeType::DayLeft => {
                    "2026-12-30 14:22 UTC"
                }
                _ => "2026-11-30 14:22 UTC",
            };
            for part in [&text, &html] {
                assert!(part.contains(&account) && part.contains(date), "{subject}: {part}");
                assert!(!part.contains("{{") && !part.contains("{%"), "{part}");
            }
            assert!(html.contains(subject) && !text.starts_with('\n'), "{text}");
            let has_receipt = text.contains("a.b.c") && html.contains("a.b.c");
            assert_eq!(has_receipt, notice_type == NoticeType::Erased, "{subject}");
            let has_link = text.contains(&format!("\n\n{STATUS_URL}\n\n"))
                && html.contains(&format!("<a href=\"{STATUS_URL}\">{STATUS_URL}</a>"));
            assert_eq!(has_link, notice_type == NoticeType::Erased, "{subject}");
            let page = "https://api.example.com/account";
            let leads_to_page = html.contains(&format!("<a href=\"{page}\">{page}</a>"));
            let asks_to_sign_in = matches!(
                notice_type,
                NoticeType::Frozen
                    | NoticeType::WeekLeft
                    | NoticeType::DayLeft
                    | NoticeType::Suspended
            );
            assert_eq!(leads_to_page, asks_to_sign_in, "{subject}");
        }
    }

    #[test]
    fn a_letter_has_its_link_in_text_and_html_and_nowhere_else() {
        let link = "https://api.example.com/account/verify#token=vbm_1";
        for letter in [
            Letter::SignUp,
            Letter::Verification,
            Letter::PasswordReset,
            Letter::Invitation,
            Letter::Unregistration,
        ] {
            let Message { text, html, .. } = Message::letter(letter, None, link).unwrap();
            assert!(text.contains(&format!("\n\n{link}\n\n")), "{text}");
            assert!(html.contains(&format!("<a href=\"{link}\">{link}</a>")), "{html}");
        }
        let Message { text, html, .. } = Message::letter(Letter::AddressKnown, None, "").unwrap();
        assert!(!text.contains("http") && !html.contains("<a"), "{html}");
    }

    #[test]
    fn markup_is_escaped_in_html_and_not_in_text() {
        let Message { text, html, .. } = message(NoticeType::Erased, "<b>&");
        assert!(text.contains("<b>&") && !html.contains("<b>&"), "{html}");
    }
}
