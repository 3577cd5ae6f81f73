//! `GET /console`: the operators' console, and the scripts that it loads. The files are static: the console reads and
//! changes data only through the API, with the rights of the operator who signs in.

use shared::app::ConsoleSwitch;
use shared::domain::Error;
use shared::http::{PageFile, Reply, Request};
use shared::runtime::{self, Endpoint};

const PAGE: PageFile = PageFile::page(include_str!("../pages/console/page.html"));
const STYLE: &str =
    concat!(include_str!("../pages/console/style.css"), include_str!("../pages/timeline.css"));

/// The scripts, each with the file name in its URL.
const SCRIPTS: [(&str, PageFile); 10] = [
    ("app.js", PageFile::script(include_str!("../pages/console/app.js"))),
    ("api.js", PageFile::script(include_str!("../pages/console/api.js"))),
    ("dom.js", PageFile::script(include_str!("../pages/console/dom.js"))),
    ("acts.js", PageFile::script(include_str!("../pages/console/acts.js"))),
    ("lists.js", PageFile::script(include_str!("../pages/console/lists.js"))),
    ("account.js", PageFile::script(include_str!("../pages/console/account.js"))),
    ("erasure.js", PageFile::script(include_str!("../pages/console/erasure.js"))),
    ("clock.js", PageFile::script(include_str!("../pages/console/clock.js"))),
    ("receipt.js", PageFile::script(include_str!("../pages/receipt.js"))),
    ("timeline.js", PageFile::script(include_str!("../pages/timeline.js"))),
];

async fn handle(console: &'static ConsoleSwitch, request: Request) -> Result<Reply, Error> {
    console.require()?;
    let Some(name) = request.path_file() else {
        return Ok(Reply::file(PAGE.styled(STYLE).with_trusted_types()));
    };
    let script = SCRIPTS.into_iter().find(|(script, _)| *script == name);
    let (_, script) = script.ok_or(Error::RouteNotFound)?;
    Ok(Reply::file(script.compact()))
}

pub(crate) fn endpoint() -> Endpoint<ConsoleSwitch> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}
