//! A client of Lambda's Runtime API.

use std::net::TcpStream;

use serde_json::Value;

use crate::Result;
use crate::http::Connection;

const PATH: &str = "/2018-06-01/runtime/invocation";

/// Gets events from the Runtime API at `api`, one after another, and responds to each with what `handle`
/// returns.
pub(crate) fn serve(api: &str, mut handle: impl FnMut(&Value) -> Value) -> Result<()> {
    let stream = TcpStream::connect(api)?;
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    let next = format!("GET {PATH}/next HTTP/1.1\r\nhost: {api}\r\n");
    loop {
        let event = connection.send(&next, "")?;
        let id = event.request_id.ok_or("an event without an id")?;
        let answer = handle(&serde_json::from_slice(&event.body)?);
        let response = format!("POST {PATH}/{id}/response HTTP/1.1\r\nhost: {api}\r\n");
        connection.send(&response, &answer.to_string())?;
    }
}
