//! Signatures of Standard Webhooks, version 1: HMAC-SHA256 with a shared secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What such secrets begin with; the rest is base64.
const PREFIX: &str = "whsec_";

/// The key's bytes; none where the secret is empty.
pub(super) fn key(secret: &str) -> Result<Option<Vec<u8>>, &'static str> {
    match secret.strip_prefix(PREFIX) {
        None if secret.is_empty() => Ok(None),
        None => Ok(Some(secret.as_bytes().to_owned())),
        Some(rest) => match STANDARD.decode(rest) {
            Ok(key) if !key.is_empty() => Ok(Some(key)),
            _ => Err("begins with whsec_, but what follows is no base64"),
        },
    }
}

/// The value of `webhook-signature`.
pub(super) fn signature(key: &[u8], id: &str, timestamp_s: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(format!("{id}.{timestamp_s}.").as_bytes());
    mac.update(body.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification's own libraries are tested with.
    #[test]
    fn a_known_signature() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().unwrap();
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets() {
        assert_eq!(key(""), Ok(None));
        assert_eq!(key("plain"), Ok(Some(b"plain".to_vec())));
        assert!(key("whsec_").is_err() && key("whsec_no base64").is_err());
    }
}
