//! Endpoints that are measured.

use serde_json::{Value, json};

/// An endpoint that is measured, and that most or all contestants implement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    Get,
    List,
    Create,
    Login,
    Unregister,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 5] =
        [Self::Get, Self::List, Self::Create, Self::Login, Self::Unregister];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Login => "login",
            Self::Unregister => "unregister",
        }
    }

    /// Name of the binary of the endpoint's function in this repository.
    pub(crate) const fn binary(self) -> &'static str {
        match self {
            Self::Get => "customer_get",
            Self::List => "customer_list",
            Self::Create => "customer_create",
            Self::Login => "auth_login",
            Self::Unregister => "auth_unregister",
        }
    }

    /// Logical id of the endpoint's function in this repository's template.yaml.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Get => "CustomerGetFunction",
            Self::List => "CustomerListFunction",
            Self::Create => "CustomerCreateFunction",
            Self::Login => "AuthLoginFunction",
            Self::Unregister => "AuthUnregisterFunction",
        }
    }

    /// Whether the endpoint writes.
    pub(crate) const fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List)
    }

    /// Whether the endpoint hashes a password, which all endpoints that write do.
    pub(crate) const fn hashes(self) -> bool {
        self.writes()
    }
}

/// A request to an endpoint. [`Request::event`] turns it into the event that API Gateway would send (payload
/// format 2.0).
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) page_size: Option<usize>,
    pub(crate) body: Option<Value>,
    /// Number that becomes the client's IP address in 10.0.0.0/8. Requests need different addresses, since password
    /// attempts are counted by network.
    pub(crate) source: u32,
}

impl Request {
    pub(crate) fn event(&self) -> Value {
        let ip =
            std::net::Ipv4Addr::from_bits(0x0a00_0000 | (self.source & 0x00ff_ffff)).to_string();
        let mut event = json!({
            "version": "2.0",
            "routeKey": format!("{} {}", self.method, self.route),
            "rawPath": self.path,
            "rawQueryString": "",
            "headers": {
                "accept": "*/*",
                "content-length": "0",
                "host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
                "user-agent": "curl/8.11.0",
                "x-amzn-trace-id": "Root=1-674398b0-2f1c6e0d0c3c5b5d7a9e1f20",
                "x-forwarded-for": ip,
                "x-forwarded-port": "443",
                "x-forwarded-proto": "https",
            },
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "abcdefghij",
                "domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "abcdefghij",
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": ip,
                    "userAgent": "curl/8.11.0",
                },
                "requestId": "B4fTEjGvoAMEJtg=",
                "routeKey": format!("{} {}", self.method, self.route),
                "stage": "$default",
                "time": "24/Nov/2026:21:00:00 +0000",
                "timeEpoch": 1_795_640_400_000_i64,
            },
            "isBase64Encoded": false,
        });
        if let Some(token) = &self.token {
            event["headers"]["authorization"] = format!("Bearer {token}").into();
        }
        if let Some(id) = &self.id {
            event["pathParameters"] = json!({"id": id});
        }
        if let Some(size) = self.page_size {
            event["rawQueryString"] = format!("page_size={size}").into();
            event["queryStringParameters"] = json!({"page_size": size.to_string()});
        }
        if let Some(body) = &self.body {
            event["headers"]["content-type"] = "application/json".into();
            event["body"] = body.to_string().into();
        }
        event
    }
}
