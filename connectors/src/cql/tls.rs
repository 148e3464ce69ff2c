//! TLS, where this program was built with it.

use scylla::client::session::TlsContext;

use super::address::Address;
use crate::StoreError;

/// What the driver needs for TLS; `None` where the address asks for none.
pub(super) fn context(address: &Address) -> Result<Option<TlsContext>, StoreError> {
    match &address.tls {
        None => Ok(None),
        Some(authorities) => with_tls(address, authorities).map(Some),
    }
}

#[cfg(not(feature = "tls"))]
fn with_tls(address: &Address, _authorities: &str) -> Result<TlsContext, StoreError> {
    Err(StoreError::Schema {
        place: address.to_string(),
        problem: "asks for TLS, which this program was built without; build it with `--features tls`".to_owned(),
    })
}
