//! A DynamoDB client with one connection, which signs its requests itself (Signature Version 4).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::Connection;
use crate::{Result, sha256, variable};

const SIGNED: &str = "host;x-amz-date;x-amz-security-token;x-amz-target";

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A DynamoDB client: its connection and credentials.
pub(crate) struct DynamoDb {
    connection: Connection<Box<dyn Stream>>,
    host: String,
    region: String,
    id: String,
    secret: String,
    token: String,
    /// The day (`YYYYMMDD`) and the signing key of that day, reused until the day ends.
    key: (String, Option<Key>),
}

impl DynamoDb {
    /// Connects to DynamoDB; includes the TLS handshake.
    pub(crate) fn connect() -> Result<Self> {
        let url = variable("AWS_ENDPOINT_URL_DYNAMODB")?;
        let (scheme, host) = url.split_once("://").ok_or("no URL")?;
        let tcp = TcpStream::connect(host)?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> =
            if scheme == "https" { Box::new(secure(tcp, host)?) } else { Box::new(tcp) };
        Ok(Self {
            connection: Connection::new(stream),
            host: host.to_owned(),
            region: variable("AWS_REGION")?,
            id: variable("AWS_ACCESS_KEY_ID")?,
            secret: variable("AWS_SECRET_ACCESS_KEY")?,
            token: variable("AWS_SESSION_TOKEN")?,
            key: (String::new(), None),
        })
    }

    /// Calls a DynamoDB operation and returns the response. Fails unless the status is 200.
    pub(crate) fn call(&mut self, operation: &str, request: &Value) -> Result<Value> {
        let body = request.to_string();
        let moment = Moment::now();
        let (date, day) = (moment.amz(), moment.day());
        let Self { connection, host, region, id, secret, token, key } = self;
        let target = format!("DynamoDB_20120810.{operation}");
        let headers = format!(
            "host:{host}\nx-amz-date:{date}\nx-amz-security-token:{token}\nx-amz-target:{target}\n"
        );
        let canonical = format!("POST\n/\n\n{headers}\n{SIGNED}\n{}", sha256(&body));
        let scope = format!("{day}/{region}/dynamodb/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical));
        let key = signing_key(key, secret, &day, region);
        let signature = HEXLOWER.encode(sign(key, text.as_bytes()).as_ref());
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-date: {date}\r\nx-amz-security-token: {token}\r\n\
             x-amz-target: {target}\r\ncontent-type: application/x-amz-json-1.0\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={SIGNED}, \
             Signature={signature}\r\n"
        );
        let response = connection.send(&head, &body)?;
        if response.status != 200 {
            return Err(String::from_utf8_lossy(&response.body).into_owned().into());
        }
        Ok(serde_json::from_slice(&response.body)?)
    }
}

fn signing_key<'a>(
    kept: &'a mut (String, Option<Key>),
    secret: &str,
    day: &str,
    region: &str,
) -> &'a Key {
    if kept.0 != day {
        *kept = (day.to_owned(), None);
    }
    kept.1.get_or_insert_with(|| {
        let first = Key::new(HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        [day, region, "dynamodb", "aws4_request"]
            .iter()
            .fold(first, |key, part| Key::new(HMAC_SHA256, sign(&key, part.as_bytes()).as_ref()))
    })
}

fn secure(tcp: TcpStream, host: &str) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(variable("AWS_CA_BUNDLE")?)? {
        roots.add(root?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.split(':').next().unwrap_or_default().to_owned();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from(name)?)?;
    let mut stream = StreamOwned::new(client, tcp);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

/// A point in time, in UTC.
pub(crate) struct Moment {
    date: [u64; 3],
    time: [u64; 3],
    micros: u32,
}

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "a program of its own")]
    pub(crate) fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
        // Days are counted from March of the year 0, so that leap days come last.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            date: [
                era * 400 + year + u64::from(month <= 2),
                month,
                day_of_year - (153 * march_month + 2) / 5 + 1,
            ],
            time: [second / 3_600, second / 60 % 60, second % 60],
            micros: now.subsec_micros(),
        }
    }

    fn day(&self) -> String {
        let [year, month, day] = self.date;
        format!("{year:04}{month:02}{day:02}")
    }

    fn amz(&self) -> String {
        let [hour, minute, second] = self.time;
        format!("{}T{hour:02}{minute:02}{second:02}Z", self.day())
    }

    pub(crate) fn rfc3339(&self) -> String {
        let ([year, month, day], [hour, minute, second]) = (self.date, self.time);
        let micros = self.micros;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}
