//! `GET /account…`: the web pages for owners of accounts, with their scripts. Mailed links open some of these pages.
//! A page is the same for every visitor: it does nothing until its reader presses a button, and then calls the API.
//!
//! The lists of data that a deletion removes and keeps are generated from the rules for erasing each stored field.

use shared::app::Installation;
use shared::domain::Error;
use shared::http::{PageFile, Reply, Request};
use shared::pages::completed;
use shared::runtime::{self, Endpoint};

const ACCOUNT: &str = include_str!("../pages/account.html");
const DELETE: &str = include_str!("../pages/delete.html");
const UNREGISTER: &str = include_str!("../pages/unregister.html");
const VERIFY: &str = include_str!("../pages/verify.html");
const RESET: &str = include_str!("../pages/reset.html");
const FATES: &str = include_str!("../pages/fates.html");
const SUPPORT: &str = include_str!("../pages/support.html");
const STYLE: &str =
    concat!(include_str!("../pages/style.css"), include_str!("../pages/timeline.css"));

async fn handle(installation: &'static Installation, request: Request) -> Result<Reply, Error> {
    installation.require_mail()?;
    Ok(Reply::file(match request.route() {
        "GET /account" => page(ACCOUNT, installation),
        "GET /account/delete" => page(DELETE, installation),
        "GET /account/unregister" => page(UNREGISTER, installation),
        "GET /account/verify" => page(VERIFY, installation),
        "GET /account/reset" => page(RESET, installation),
        "GET /account/script.js" => PageFile::script(include_str!("../pages/script.js")),
        "GET /account/account.js" => PageFile::script(include_str!("../pages/account.js")),
        "GET /account/receipt.js" => PageFile::script(include_str!("../pages/receipt.js")),
        "GET /account/timeline.js" => PageFile::script(include_str!("../pages/timeline.js")),
        _ => return Err(Error::RouteNotFound),
    }))
}

fn page(html: &'static str, installation: &Installation) -> PageFile {
    let support = installation.support_url.as_ref().map_or("", |_| SUPPORT);
    let page = PageFile::page(html).with_part("fates", FATES).with_part("support", support);
    completed(page, installation).styled(STYLE).with_trusted_types()
}

pub(crate) fn endpoint() -> Endpoint<Installation> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}
