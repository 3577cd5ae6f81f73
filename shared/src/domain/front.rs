//! The front: a `CloudFront` distribution that all requests come through, where a deployment has one.

use std::net::IpAddr;

use super::digest::sha256;

/// The front's credentials: digests of the secrets that it may send. With two of them, a secret is replaced without
/// refusing requests in between.
#[derive(Debug)]
pub struct Front(Vec<String>);

impl Front {
    /// Returns the front whose secrets have these SHA-256 digests, in lower-case hexadecimal and separated by commas.
    /// `None` if one is malformed.
    #[must_use]
    pub fn parse(digests: &str) -> Option<Self> {
        let is_digest = |text: &str| {
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let digests: Vec<_> = digests.split(',').map(|text| text.trim().to_owned()).collect();
        digests.iter().all(|digest| is_digest(digest)).then_some(Self(digests))
    }

    /// Returns the client's address from `viewer`, the header `CloudFront-Viewer-Address`, which is address and port.
    /// `None` if `secret` is not the front's: then anybody may have written both.
    #[must_use]
    pub fn client(&self, secret: &str, viewer: &str) -> Option<IpAddr> {
        if !self.0.contains(&sha256(secret)) {
            return None;
        }
        let (address, _port) = viewer.rsplit_once(':')?;
        address.trim_matches(['[', ']']).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_viewer_if_the_secret_is_right() {
        let front = Front::parse(&format!("{}, {}", sha256("old"), sha256("new"))).unwrap();
        for (secret, viewer, client) in [
            ("new", "198.51.100.7:46532", Some("198.51.100.7")),
            ("old", "198.51.100.7:46532", Some("198.51.100.7")),
            ("new", "2001:db8::1:46532", Some("2001:db8::1")),
            ("new", "[2001:db8::1]:46532", Some("2001:db8::1")),
            ("other", "198.51.100.7:46532", None),
            ("", "198.51.100.7:46532", None),
            ("new", "198.51.100.7", None),
            ("new", "", None),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            assert_eq!(front.client(secret, viewer), client, "{secret} {viewer}");
        }
    }

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        for wrong in ["", "secret", &sha256("a").to_uppercase(), &format!("{},", sha256("a"))] {
            assert!(Front::parse(wrong).is_none(), "{wrong}");
        }
    }
}
