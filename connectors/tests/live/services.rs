//! Where the services of this run are.

/// HOST:PORT of a service, from its variable.
///
/// # Panics
/// Without the variable: a live test that finds no service has failed.
pub fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: live tests run through `cargo xtask test`, or after eval \"$(services/services env)\"")
    })
}
