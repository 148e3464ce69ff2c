//! What can be wrong with a fleet, the options or the place to write to; each names the thing and what is allowed.

use std::path::PathBuf;

/// Why a simulation could not be set up or written.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A field of a device.
    #[error("device {device}: field \"{field}\": {problem}; allowed: {allowed}")]
    Device {
        /// Its id, or its place in the list where it has none.
        device: String,
        /// Which field.
        field: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        allowed: String,
    },
    /// A field of a fault.
    #[error("fault {fault}: field \"{field}\": {problem}; allowed: {allowed}")]
    Fault {
        /// Its place in the list or its text.
        fault: String,
        /// Which field.
        field: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        allowed: String,
    },
    /// An option.
    #[error("option \"{option}\": {problem}; allowed: {allowed}")]
    Option {
        /// Which one.
        option: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        allowed: String,
    },
    /// A file's text is not of its format.
    #[error("file of {what} is no {format}: {cause}")]
    Format {
        /// `the fleet` or `faults`.
        what: &'static str,
        /// `JSON` or `TOML`.
        format: &'static str,
        /// What the parser says.
        cause: String,
    },
    /// A file's shape.
    #[error("file of {what}: {problem}; allowed: {allowed}")]
    Shape {
        /// `the fleet` or `faults`.
        what: &'static str,
        /// What is wrong.
        problem: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// Reading or writing failed.
    #[error("could not {doing} file {path:?}: {cause}")]
    File {
        /// `read`, `create` or `write`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
}

impl SimulatorError {
    pub(super) fn device(
        device: impl std::fmt::Display,
        field: &str,
        problem: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        SimulatorError::Device {
            device: device.to_string(),
            field: field.to_owned(),
            problem: problem.into(),
            allowed: allowed.into(),
        }
    }

    pub(super) fn fault(
        fault: impl std::fmt::Display,
        field: &str,
        problem: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        SimulatorError::Fault {
            fault: fault.to_string(),
            field: field.to_owned(),
            problem: problem.into(),
            allowed: allowed.into(),
        }
    }

    pub(super) fn option(option: &str, problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        SimulatorError::Option { option: option.to_owned(), problem: problem.into(), allowed: allowed.into() }
    }
}
