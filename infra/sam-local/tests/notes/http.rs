//! A minimal HTTP client, one connection per request.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// An HTTP response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Header lines, with names in lower case.
    headers: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    /// Whether the response has this header line.
    pub(crate) fn has_header(&self, line: &str) -> bool {
        self.headers.iter().any(|header| header == line)
    }

    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter().filter_map(|line| line.split_once(": "));
        lines.find(|(header, _)| *header == name).map(|(_, value)| value)
    }
}

/// Sends a request to `url` (`http://host:port`, with or without a path) and reads the response. If `headers` has a
/// `host`, it must be the first.
pub(crate) fn send(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let headers: String =
        headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let length = body.len();
    let own_host = if headers.starts_with("host: ") { "" } else { &format!("host: {host}\r\n") };
    let request = format!(
        "{method} {prefix}{path} HTTP/1.1\r\n{own_host}connection: close\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    );
    let mut connection = TcpStream::connect(host).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: lines.map(str::to_owned).collect(), body: body.to_owned() }
}
