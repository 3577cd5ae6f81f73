//! The part of HTTP/1.1 that this program needs for its two servers, DynamoDB and Lambda's Runtime API.

use std::io::{BufRead, BufReader, Read, Write};

use crate::Result;

/// A persistent connection.
pub(crate) struct Connection<S: Read + Write>(BufReader<S>);

/// An HTTP response. `request_id` is the event's id, in responses of Lambda's Runtime API that bring an
/// event.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(BufReader::with_capacity(16 * 1024, stream))
    }

    /// Sends a request and reads the response. `head` is the request up to the `content-length` header, which
    /// is added.
    pub(crate) fn send(&mut self, head: &str, body: &str) -> Result<Response> {
        let stream = self.0.get_mut();
        let length = body.len();
        stream.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())?;
        stream.flush()?;
        self.receive()
    }

    fn receive(&mut self) -> Result<Response> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("no status")?.parse()?;
        let (mut length, mut request_id) = (0, None);
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "lambda-runtime-aws-request-id" => request_id = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Response { status, request_id, body })
    }
}
