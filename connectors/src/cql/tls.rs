//! TLS, where this program was built with it: the servers' certificates have to be signed by an authority of the system, or of
//! the file that the address names. The driver does not compare the names in them with the hosts'.

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

#[cfg(feature = "tls")]
fn with_tls(address: &Address, authorities: &str) -> Result<TlsContext, StoreError> {
    use openssl::ssl::{SslConnector, SslMethod};
    use scylla::client::session::OpenSsl010Config;

    let builder = SslConnector::builder(SslMethod::tls()).and_then(|mut builder| {
        if authorities != "true" {
            builder.set_ca_file(authorities)?;
        }
        Ok(builder)
    });
    let builder = builder.map_err(|cause| StoreError::Failed {
        action: "make TLS ready for".to_owned(),
        place: address.to_string(),
        help: "tls=FILE has to name a file with the authorities' certificates as PEM",
        passing: false,
        cause: cause.into(),
    })?;
    Ok(OpenSsl010Config::new(builder).into())
}

#[cfg(not(feature = "tls"))]
fn with_tls(address: &Address, _authorities: &str) -> Result<TlsContext, StoreError> {
    Err(StoreError::Schema {
        place: address.to_string(),
        problem: "asks for TLS, which this build does not have; build with `--features tls`".to_owned(),
    })
}
