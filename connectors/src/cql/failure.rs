//! What the driver's and the servers' errors mean for the person who reads them.

use scylla::errors::{
    DbError, ExecutionError, MetadataError, NewSessionError, PagerExecutionError, PrepareError, RequestAttemptError,
};

use crate::StoreError;
use crate::error::Cause;

const AWAY: &str = "check that the servers run and can be reached from here; it is safe to try again";
const LOADED: &str = "the servers are overloaded or too few of them are up; it is safe to try again";
const RIGHTS: &str = "check user and password, and what the user may do";
const WRONG_SCHEMA: &str = "`dataflow store schema check` compares the tables with what they should be";
const REPORT: &str = "this is unexpected: look into the servers' log";

/// What a failed request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The servers are away or busy: trying again may help.
    Passing(&'static str),
    /// The servers won't take just this.
    Refused,
    /// It fails until somebody does something.
    Lasting(&'static str),
}

fn of_server(error: &DbError) -> Meaning {
    match error {
        DbError::Invalid | DbError::SyntaxError => Meaning::Refused,
        DbError::AuthenticationError | DbError::Unauthorized => Meaning::Lasting(RIGHTS),
        DbError::Unavailable { .. }
        | DbError::Overloaded
        | DbError::IsBootstrapping
        | DbError::TruncateError
        | DbError::ReadTimeout { .. }
        | DbError::WriteTimeout { .. }
        | DbError::ReadFailure { .. }
        | DbError::WriteFailure { .. }
        | DbError::Unprepared { .. }
        | DbError::ServerError
        | DbError::RateLimitReached { .. } => Meaning::Passing(LOADED),
        _ => Meaning::Lasting(REPORT),
    }
}

fn of_attempt(error: &RequestAttemptError) -> Meaning {
    match error {
        RequestAttemptError::DbError(error, _) => of_server(error),
        RequestAttemptError::BrokenConnectionError(_) | RequestAttemptError::UnableToAllocStreamId => {
            Meaning::Passing(AWAY)
        }
        RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
            Meaning::Refused
        }
        _ => Meaning::Lasting(REPORT),
    }
}

fn of_preparing(error: &PrepareError) -> Meaning {
    match error {
        PrepareError::ConnectionPoolError(_) => Meaning::Passing(AWAY),
        PrepareError::AllAttemptsFailed { first_attempt } => match of_attempt(first_attempt) {
            // No row has been sent yet.
            Meaning::Refused => Meaning::Lasting(WRONG_SCHEMA),
            other => other,
        },
        _ => Meaning::Lasting(REPORT),
    }
}

/// What a failed statement means.
pub(super) fn of_execution(error: &ExecutionError) -> Meaning {
    match error {
        ExecutionError::LastAttemptError(error) => of_attempt(error),
        ExecutionError::PrepareError(error) => of_preparing(error),
        ExecutionError::ConnectionPoolError(_) | ExecutionError::EmptyPlan | ExecutionError::MetadataError(_) => {
            Meaning::Passing(AWAY)
        }
        ExecutionError::RequestTimeout(_) | ExecutionError::SchemaAgreementError(_) => Meaning::Passing(LOADED),
        ExecutionError::BadQuery(_) => Meaning::Refused,
        _ => Meaning::Lasting(REPORT),
    }
}

/// Any of the driver's errors.
pub(super) trait Failure: std::error::Error + Send + Sync + 'static {
    fn meaning(&self) -> Meaning;
}

impl Failure for ExecutionError {
    fn meaning(&self) -> Meaning {
        of_execution(self)
    }
}

impl Failure for PrepareError {
    fn meaning(&self) -> Meaning {
        of_preparing(self)
    }
}

impl Failure for PagerExecutionError {
    fn meaning(&self) -> Meaning {
        match self {
            PagerExecutionError::PrepareError(error) => of_preparing(error),
            PagerExecutionError::SerializationError(_) => Meaning::Refused,
            _ => Meaning::Passing(LOADED),
        }
    }
}

impl Failure for NewSessionError {
    fn meaning(&self) -> Meaning {
        match self {
            // The driver packs the server's answer into text.
            NewSessionError::MetadataError(MetadataError::ConnectionPoolError(error))
                if error.to_string().contains("Authentication") =>
            {
                Meaning::Lasting(RIGHTS)
            }
            NewSessionError::IllegalConfig(_) => Meaning::Lasting(REPORT),
            _ => Meaning::Passing(AWAY),
        }
    }
}

/// An error of the driver or a server while doing something to a store.
pub(super) fn failed<E: Failure>(action: impl Into<String>, place: &str, cause: E) -> StoreError {
    let (help, passing) = match cause.meaning() {
        Meaning::Passing(help) => (help, true),
        Meaning::Refused => (WRONG_SCHEMA, false),
        Meaning::Lasting(help) => (help, false),
    };
    StoreError::Failed { action: action.into(), place: place.to_owned(), help, passing, cause: Box::new(cause) }
}

/// Something that the servers gave and this program did not write.
pub(super) fn unreadable(action: impl Into<String>, place: &str, cause: impl Into<Cause>) -> StoreError {
    let (action, place, cause) = (action.into(), place.to_owned(), cause.into());
    StoreError::Failed { action, place, help: WRONG_SCHEMA, passing: false, cause }
}
