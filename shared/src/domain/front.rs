//! The front: a proxy, such as `CloudFront`, through which all requests of a deployment come, if it has one.

use std::net::IpAddr;

use super::digest::sha256;

/// The header in which `CloudFront` sends the client's address, with its port at the end.
const CLOUDFRONT: &str = "cloudfront-viewer-address";

/// A front: the header in which it sends a secret that proves that a request came through it, and the header
/// in which it sends the client's address.
#[derive(Debug)]
pub struct Front {
    /// SHA-256 digests of the secrets that are accepted. There are two while a secret is being replaced, so
    /// that no request is refused meanwhile.
    digests: Vec<String>,
    secret_header: String,
    address_header: String,
}

impl Front {
    /// Returns the front whose secrets have these SHA-256 digests, in lower-case hexadecimal and separated by
    /// commas. `None` if a digest is malformed.
    #[must_use]
    pub fn parse(digests: &str, secret_header: &str, address_header: &str) -> Option<Self> {
        let is_digest = |text: &str| {
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let digests: Vec<_> = digests.split(',').map(|text| text.trim().to_owned()).collect();
        digests.iter().all(|digest| is_digest(digest)).then(|| Self {
            digests,
            secret_header: secret_header.to_ascii_lowercase(),
            address_header: address_header.to_ascii_lowercase(),
        })
    }

    /// Returns the address of the client whose request has these headers, which are looked up by lower-case
    /// name. `None` if the request did not come through the front, or if the address header does not contain
    /// exactly one address.
    #[must_use]
    pub fn client<'a>(&self, header: impl Fn(&str) -> Option<&'a str>) -> Option<IpAddr> {
        let secret = header(&self.secret_header)?;
        if !self.digests.contains(&sha256(secret)) {
            return None;
        }
        let sent = header(&self.address_header)?;
        let address = match self.address_header.as_str() {
            CLOUDFRONT => sent.rsplit_once(':')?.0,
            _ => sent,
        };
        address.trim().trim_matches(['[', ']']).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(front: &Front, headers: [(&str, &'static str); 2]) -> Option<String> {
        let header =
            |name: &str| headers.iter().find(|(sent, _)| *sent == name).map(|(_, value)| *value);
        front.client(header).map(|client| client.to_string())
    }

    #[test]
    fn the_client_is_cloudfronts_viewer_if_the_secret_is_right() {
        let digests = format!("{}, {}", sha256("old"), sha256("new"));
        let front = Front::parse(&digests, "x-origin-secret", CLOUDFRONT).unwrap();
        for (secret, viewer, expected) in [
            ("new", "198.51.100.7:46532", Some("198.51.100.7")),
            ("old", "198.51.100.7:46532", Some("198.51.100.7")),
            ("new", "2001:db8::1:46532", Some("2001:db8::1")),
            ("new", "2001:db8::1:4653", Some("2001:db8::1")),
            ("new", "[2001:db8::1]:46532", Some("2001:db8::1")),
            ("other", "198.51.100.7:46532", None),
            ("", "198.51.100.7:46532", None),
            ("new", "198.51.100.7", None),
            ("new", "", None),
        ] {
            let headers = [("x-origin-secret", secret), (CLOUDFRONT, viewer)];
            assert_eq!(client(&front, headers).as_deref(), expected, "{secret} {viewer}");
        }
    }

    #[test]
    fn any_proxy_can_name_the_client_in_headers_of_its_own() {
        let front = Front::parse(&sha256("new"), "X-Proxy-Secret", "X-Real-IP").unwrap();
        for (address, expected) in [
            ("198.51.100.7", Some("198.51.100.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("198.51.100.7, 198.51.100.8", None),
            ("unknown", None),
        ] {
            let headers = [("x-proxy-secret", "new"), ("x-real-ip", address)];
            assert_eq!(client(&front, headers).as_deref(), expected, "{address}");
            let elsewhere = [("x-origin-secret", "new"), ("x-real-ip", address)];
            assert_eq!(client(&front, elsewhere), None);
        }
    }

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        for wrong in ["", "secret", &sha256("a").to_uppercase(), &format!("{},", sha256("a"))] {
            assert!(Front::parse(wrong, "a", "b").is_none(), "{wrong}");
        }
    }
}
