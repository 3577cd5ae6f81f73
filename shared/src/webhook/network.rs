//! The network as the webhook sender uses it: name resolution and TCP connections.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};

use crate::domain::Error;
use crate::platform::config::{self, LOCAL_HOSTS};

/// Resolver and TCP connector.
#[derive(Debug)]
pub(super) enum Network {
    /// Resolver and connector of the operating system.
    System,
    /// For the local stack: resolves only the names in this map, and connects to loopback addresses only.
    Local(BTreeMap<String, Vec<IpAddr>>),
    /// For unit tests: returns the addresses and connections that a test has scripted.
    #[cfg(test)]
    Scripted(std::sync::Arc<super::tests::Script>),
}

impl Network {
    pub(super) fn from_environment() -> Result<Self, Error> {
        let Some(hosts) = config::optional(LOCAL_HOSTS) else { return Ok(Self::System) };
        let hosts = serde_json::from_str(&hosts);
        hosts.map(Self::Local).map_err(|_| {
            Error::Internal(format!("{LOCAL_HOSTS} is not a JSON object of lists of addresses"))
        })
    }

    /// Returns all addresses of a name; none if the name has no address or the look-up fails.
    pub(super) async fn resolve(&self, name: &str) -> Vec<IpAddr> {
        match self {
            // The final dot makes the name absolute, so no search domain is appended.
            Self::System => match lookup_host((format!("{name}."), 443)).await {
                Ok(found) => found.map(|address| address.ip()).collect(),
                Err(_) => Vec::new(),
            },
            Self::Local(hosts) => hosts.get(name).cloned().unwrap_or_default(),
            #[cfg(test)]
            Self::Scripted(script) => script.resolve(name),
        }
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        match self {
            Self::Local(_) if !address.ip().is_loopback() => {
                Err(io::ErrorKind::NetworkUnreachable.into())
            }
            Self::System | Self::Local(_) => TcpStream::connect(address).await,
            #[cfg(test)]
            Self::Scripted(script) => TcpStream::connect(script.connect(address)?).await,
        }
    }
}
