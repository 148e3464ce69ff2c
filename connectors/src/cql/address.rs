//! `scylla://[USER[:PASSWORD]@]HOST[:PORT][,HOST2[:PORT]...]/KEYSPACE[?OPTION=VALUE&...]`

use std::fmt;
use std::time::Duration;

use scylla::statement::Consistency;

use crate::StoreError;

/// Port of the servers' native protocol.
const PORT: u16 = 9042;
/// Longest name of a keyspace that the servers take.
const KEYSPACE_LONGEST: usize = 48;
/// What may stand behind the `?`.
const OPTIONS: &str =
    "replication, datacenter, consistency, raw_days, state_days, vector_index, with_view, timeout_s and tls";

/// Where the approximate search over vectors is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VectorIndex {
    /// On the distinct states.
    StateVectors,
    /// On those and on every snapshot, as the system had it that this one succeeds.
    Snapshots,
    /// Nowhere.
    None,
}

/// How to come to a keyspace, and what it is made with where it does not exist.
#[derive(Clone)]
pub(super) struct Address {
    /// `HOST:PORT` each.
    pub(super) hosts: Vec<String>,
    pub(super) keyspace: String,
    pub(super) user: Option<(String, String)>,
    /// Copies of each row.
    pub(super) replication: u32,
    /// Where the copies are; the first node's own by default.
    pub(super) datacenter: Option<String>,
    pub(super) consistency: Consistency,
    /// Days that readings are kept; 0 keeps them for ever.
    pub(super) raw_days: u32,
    /// Days that states and incidents are kept; 0 keeps them for ever.
    pub(super) state_days: u32,
    pub(super) vector_index: VectorIndex,
    /// Whether the materialised view `recent_device_states` is made.
    pub(super) with_view: bool,
    /// How long one request may take.
    pub(super) timeout: Duration,
    /// `true`, or the file with the authorities' certificates.
    pub(super) tls: Option<String>,
}

/// Without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scylla://{}/{}", self.hosts.join(","), self.keyspace)
    }
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        parse(url).map_err(|problem| StoreError::Url {
            url: crate::mask_address(url),
            problem,
            known: crate::url::STORES,
        })
    }
}

fn parse(url: &str) -> Result<Address, String> {
    let rest = url.split_once("://").ok_or("needs a host, as in scylla://HOST/KEYSPACE")?.1;
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            (Some((decoded(user)?, decoded(password)?)), rest)
        }
        None => (None, rest),
    };
    let (hosts, keyspace) = rest.split_once('/').ok_or("needs a keyspace, as in scylla://HOST/KEYSPACE")?;
    let mut address = Address {
        hosts: hosts.split(',').map(with_port).collect::<Result<_, _>>()?,
        keyspace: keyspace.to_owned(),
        user,
        replication: 1,
        datacenter: None,
        consistency: Consistency::LocalQuorum,
        raw_days: 30,
        state_days: 90,
        vector_index: VectorIndex::StateVectors,
        with_view: false,
        timeout: Duration::from_secs(10),
        tls: None,
    };
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let begins = keyspace.starts_with(|first: char| first.is_ascii_lowercase());
    if !begins || !keyspace.chars().all(letters) || keyspace.len() > KEYSPACE_LONGEST {
        return Err(format!(
            "has no keyspace's name in {keyspace:?}: up to {KEYSPACE_LONGEST} of a-z, 0-9 and _, a letter first"
        ));
    }
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, "true"));
        set(&mut address, name, &decoded(value)?)?;
    }
    Ok(address)
}

fn set(address: &mut Address, name: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<u32>().map_err(|_| format!("has {name}={value}, which is no whole number"));
    match name {
        "replication" => match number()? {
            0 => return Err("has replication=0: at least one copy is needed".to_owned()),
            copies => address.replication = copies,
        },
        "datacenter" => address.datacenter = Some(value.to_owned()),
        "consistency" => {
            address.consistency = match value {
                "one" => Consistency::One,
                "quorum" => Consistency::Quorum,
                "all" => Consistency::All,
                "local_one" => Consistency::LocalOne,
                "local_quorum" => Consistency::LocalQuorum,
                "each_quorum" => Consistency::EachQuorum,
                _ => {
                    return Err(format!(
                        "has consistency={value}, which is none of one, quorum, all, local_one, local_quorum, each_quorum"
                    ));
                }
            }
        }
        "raw_days" => address.raw_days = number()?,
        "state_days" => address.state_days = number()?,
        "timeout_s" => match number()? {
            0 => return Err("has timeout_s=0: a request needs some time".to_owned()),
            seconds => address.timeout = Duration::from_secs(u64::from(seconds)),
        },
        "vector_index" => {
            address.vector_index = match value {
                "state_vectors" => VectorIndex::StateVectors,
                "snapshots" => VectorIndex::Snapshots,
                "none" => VectorIndex::None,
                _ => return Err(format!("has vector_index={value}, which is none of state_vectors, snapshots, none")),
            }
        }
        "with_view" => {
            address.with_view = match value {
                "true" => true,
                "false" => false,
                _ => return Err(format!("has with_view={value}, which is neither true nor false")),
            }
        }
        "tls" => address.tls = (value != "false").then(|| value.to_owned()),
        _ => return Err(format!("has an unknown option {name:?}; options are {OPTIONS}")),
    }
    Ok(())
}

fn with_port(host: &str) -> Result<String, String> {
    // An IPv6 address has its colons in brackets.
    let port = host[host.rfind(']').unwrap_or(0)..].split_once(':');
    match port {
        _ if host.is_empty() || host.starts_with(':') => Err("has an empty host".to_owned()),
        None => Ok(format!("{host}:{PORT}")),
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(host.to_owned()),
        Some((_, port)) => Err(format!("has port {port:?}, which is no number from 1 to 65535")),
    }
}

/// Text with `%40` and the like as what they stand for.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first == b'%' {
            let byte = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
            let byte = byte.and_then(|two| u8::from_str_radix(two, 16).ok());
            bytes.push(byte.ok_or("has a % that no two hexadecimal digits follow; a % itself is written %25")?);
            rest = &behind[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).map_err(|_| "has %-digits that are no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> String {
        match Address::parse(url) {
            Ok(address) => format!(
                "{address} as {:?}, {} copies in {:?}, {:?}, {}/{} days, {:?}, view {}, {:?}, tls {:?}",
                address.user.as_ref().map(|(user, password)| (user.as_str(), password.len())),
                address.replication,
                address.datacenter,
                address.consistency,
                address.raw_days,
                address.state_days,
                address.vector_index,
                address.with_view,
                address.timeout,
                address.tls
            ),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn addresses_are_read_and_mistakes_named() {
        let seen = [
            "scylla://localhost/iot_monitoring",
            "cassandra://me:p%40ss%2F:x@a,b:9043,[::1],[::1]:9/k?replication=3&datacenter=dc%201&consistency=one",
            "scylla://h/k?raw_days=0&state_days=7&vector_index=snapshots&with_view&timeout_s=2&tls=/ca.pem",
            "scylla:localhost/k",
            "scylla://localhost",
            "scylla://h/",
            "scylla://h/Keyspace",
            "scylla://,h/k",
            "scylla://h:0/k",
            "scylla://me:secret@h:x/k",
            "scylla://me:%zz/secret@h/k",
            "scylla://h/k?replication=0",
            "scylla://h/k?consistency=some",
            "scylla://h/k?ttl=4",
        ]
        .map(check)
        .join("\n");
        expect_test::expect![[r#"
            scylla://localhost:9042/iot_monitoring as None, 1 copies in None, LocalQuorum, 30/90 days, StateVectors, view false, 10s, tls None
            scylla://a:9042,b:9043,[::1]:9042,[::1]:9/k as Some(("me", 7)), 3 copies in Some("dc 1"), One, 30/90 days, StateVectors, view false, 10s, tls None
            scylla://h:9042/k as None, 1 copies in None, LocalQuorum, 0/7 days, Snapshots, view true, 2s, tls Some("/ca.pem")
            store "scylla:localhost/k" needs a host, as in scylla://HOST/KEYSPACE; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://localhost" needs a keyspace, as in scylla://HOST/KEYSPACE; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://h/" has no keyspace's name in "": up to 48 of a-z, 0-9 and _, a letter first; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://h/Keyspace" has no keyspace's name in "Keyspace": up to 48 of a-z, 0-9 and _, a letter first; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://,h/k" has an empty host; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://h:0/k" has port "0", which is no number from 1 to 65535; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://me:***@h:x/k" has port "x", which is no number from 1 to 65535; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://me:***@h/k" has a % that no two hexadecimal digits follow; a % itself is written %25; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://h/k?replication=0" has replication=0: at least one copy is needed; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://h/k?consistency=some" has consistency=some, which is none of one, quorum, all, local_one, local_quorum, each_quorum; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
            store "scylla://h/k?ttl=4" has an unknown option "ttl"; options are replication, datacenter, consistency, raw_days, state_days, vector_index, with_view, timeout_s and tls; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null"#]].assert_eq(&seen);
    }
}
