//! `GET /account/verify`, `GET /account/reset`: the pages that links in mail open, and their files. Static: a page does
//! nothing until its reader presses a button, and what it sends goes to the API.

use shared::app::Mailing;
use shared::domain::Error;
use shared::http::{PageFile, Reply, Request};
use shared::runtime::{self, Endpoint};

const VERIFY: PageFile = PageFile::page(include_str!("../pages/verify.html"));
const RESET: PageFile = PageFile::page(include_str!("../pages/reset.html"));
const STYLE: PageFile = PageFile::style(include_str!("../pages/style.css"));
const SCRIPT: PageFile = PageFile::script(include_str!("../pages/script.js"));

async fn handle(mailing: &'static Mailing, request: Request) -> Result<Reply, Error> {
    mailing.require()?;
    match request.route() {
        "GET /account/verify" => Ok(Reply::file(VERIFY)),
        "GET /account/reset" => Ok(Reply::file(RESET)),
        "GET /account/style.css" => Ok(Reply::file(STYLE)),
        "GET /account/script.js" => Ok(Reply::file(SCRIPT)),
        _ => Err(Error::RouteNotFound),
    }
}

pub(crate) fn endpoint() -> Endpoint<Mailing> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}
