//! Who may ask what: names of the loopback only where only it is listened on, and writing only from the pages of this server or
//! with the token.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, header};

use crate::problem::Problem;

/// The rules of a server.
pub(crate) struct Guard {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What lets others write.
    pub(crate) token: Option<String>,
}

impl Guard {
    /// Whether a request may go on.
    ///
    /// # Errors
    /// Says what is not allowed, and what helps.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = self.address.ip().is_loopback();
        // A page elsewhere may have its name lead here; a browser then sends that name.
        if own && !is_loopback(host) {
            return Err(Problem::forbidden(format!(
                "host {host:?} is no name of this machine's loopback; ask for localhost, or listen on another address"
            )));
        }
        if method.is_safe() {
            return Ok(());
        }
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            return self.check_token(given.as_bytes());
        }
        if !own {
            return Err(match self.token {
                Some(_) => Problem::token("writing needs the header \"Authorization: Bearer TOKEN\" with http_token"),
                None => Problem::forbidden(
                    "this server is read only: it listens beyond the loopback and has no token; set http_token",
                ),
            });
        }
        let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?"));
        let origin = text(header::ORIGIN);
        if origin.is_some_and(|origin| origin.strip_prefix("http://") != Some(host)) {
            return Err(Problem::forbidden("the request comes from a page of another origin"));
        }
        let site = text(header::HeaderName::from_static("sec-fetch-site"));
        if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return Err(Problem::forbidden("the request comes from a page of another site"));
        }
        Ok(())
    }

    fn check_token(&self, given: &[u8]) -> Result<(), Problem> {
        let Some(token) = &self.token else {
            return Err(Problem::forbidden("this server has no token; set http_token"));
        };
        match given.strip_prefix(b"Bearer ") {
            Some(given) if is_same(given, token.as_bytes()) => Ok(()),
            _ => Err(Problem::token("the token is not the one of http_token")),
        }
    }
}

/// Compares in a time that does not tell where the two differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && differences == 0
}

/// Whether `host[:port]` is a name of the loopback.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || port.starts_with(':') => name,
            _ => return false,
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(address: &str, token: Option<&str>, method: &str, headers: &[(&'static str, &str)]) -> String {
        let guard = Guard { address: address.parse().unwrap(), token: token.map(str::to_owned) };
        let pairs = headers.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), axum::http::HeaderValue::from_str(value).unwrap())
        });
        match guard.check(&method.parse().unwrap(), &pairs.collect()) {
            Ok(()) => "yes".to_owned(),
            Err(problem) => problem.status.as_u16().to_string(),
        }
    }

    #[test]
    fn only_the_loopback_or_the_token_writes() {
        let (here, wide) = ("127.0.0.1:8050", "0.0.0.0:8050");
        let local = ("host", "localhost:8050");
        let evil = ("host", "evil.example:8050");
        let same = ("origin", "http://localhost:8050");
        let bearer = ("authorization", "Bearer secret");
        for (expected, address, token, method, headers) in [
            ("yes", here, None, "GET", vec![local]),
            ("yes", here, None, "GET", vec![("host", "127.0.0.1")]),
            ("yes", here, None, "GET", vec![("host", "[::1]:8050")]),
            ("403", here, None, "GET", vec![evil]),
            ("403", here, None, "GET", vec![("host", "[::1]evil")]),
            ("403", here, None, "GET", vec![("host", "localhost.evil.example")]),
            ("403", here, None, "GET", vec![]),
            ("yes", here, None, "POST", vec![local]),
            ("yes", here, None, "POST", vec![local, same, ("sec-fetch-site", "same-origin")]),
            ("403", here, None, "POST", vec![local, ("origin", "http://localhost:9000")]),
            ("403", here, None, "POST", vec![local, ("origin", "https://localhost:8050")]),
            ("403", here, None, "POST", vec![local, ("origin", "null")]),
            ("403", here, None, "POST", vec![local, ("sec-fetch-site", "cross-site")]),
            ("403", here, None, "POST", vec![local, bearer]),
            ("403", here, Some("secret"), "POST", vec![evil, bearer]),
            ("yes", here, Some("secret"), "POST", vec![local, bearer]),
            ("401", here, Some("other"), "POST", vec![local, bearer]),
            ("yes", wide, None, "GET", vec![evil]),
            ("403", wide, None, "POST", vec![evil]),
            ("403", wide, None, "POST", vec![local, same]),
            ("401", wide, Some("secret"), "POST", vec![evil]),
            ("401", wide, Some("secret"), "POST", vec![evil, ("authorization", "Bearer secre")]),
            ("401", wide, Some("secret"), "POST", vec![evil, ("authorization", "Basic secret")]),
            ("yes", wide, Some("secret"), "POST", vec![evil, bearer]),
        ] {
            assert_eq!(said(address, token, method, &headers), expected, "{address} {token:?} {method} {headers:?}");
        }
    }
}
