//! The connection: one session with all nodes, and what is sent through it.

use std::num::NonZeroUsize;

use scylla::client::PoolSize;
use scylla::client::caching_session::CachingSession;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::frame::Compression;
use scylla::response::query_result::QueryRowsResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency, Statement};

use super::address::Address;
use super::failure::{failed, unreadable};
use super::tls;
use crate::StoreError;

/// Prepared statements that are kept: each table has a few, and scans have one a length of prefix.
const STATEMENTS_KEPT: usize = 256;
/// Connections to a node that does not announce its shards.
const CONNECTIONS_A_NODE: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

/// A session and where it leads.
pub(super) struct Link {
    pub(super) session: CachingSession,
    pub(super) address: Address,
}

impl Link {
    /// Connects; the keyspace need not exist.
    pub(super) async fn connect(address: Address) -> Result<Self, StoreError> {
        let everywhere =
            matches!(address.consistency, Consistency::Quorum | Consistency::All | Consistency::EachQuorum);
        let serial = if everywhere { SerialConsistency::Serial } else { SerialConsistency::LocalSerial };
        let profile = ExecutionProfile::builder()
            .consistency(address.consistency)
            .serial_consistency(Some(serial))
            .request_timeout(Some(address.timeout))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&address.hosts)
            .compression(Some(Compression::Lz4))
            .connection_timeout(address.timeout)
            .default_execution_profile_handle(profile.into_handle())
            .pool_size(PoolSize::PerHost(CONNECTIONS_A_NODE))
            .tls_context(tls::context(&address)?);
        if let Some((user, password)) = &address.user {
            builder = builder.user(user, password);
        }
        if let Some(datacenter) = &address.datacenter {
            builder = builder.prefer_datacenter(datacenter.clone());
        }
        let session: Session =
            builder.build().await.map_err(|error| failed("connect to", &address.to_string(), error))?;
        Ok(Link { session: CachingSession::from(session, STATEMENTS_KEPT), address })
    }

    /// What messages call the store.
    pub(super) fn place(&self) -> String {
        self.address.to_string()
    }

    /// A table's full name.
    pub(super) fn table(&self, name: &str) -> String {
        format!("\"{}\".{name}", self.address.keyspace)
    }

    pub(super) async fn prepare(&self, action: &str, statement: &Statement) -> Result<PreparedStatement, StoreError> {
        let prepared = self.session.add_prepared_statement(statement).await;
        prepared.map_err(|error| failed(action, &self.place(), error))
    }

    /// Sends a statement that gives no rows, or none that matter. It may be sent twice.
    pub(super) async fn run(
        &self,
        action: &str,
        statement: impl Into<Statement>,
        values: impl SerializeRow,
    ) -> Result<(), StoreError> {
        let mut statement = statement.into();
        statement.set_is_idempotent(true);
        let done = self.session.execute_unpaged(statement, values).await;
        done.map(drop).map_err(|error| failed(action, &self.place(), error))
    }

    /// All rows of a statement that gives few.
    pub(super) async fn rows(
        &self,
        action: &str,
        statement: impl Into<Statement>,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, StoreError> {
        let mut statement = statement.into();
        statement.set_is_idempotent(true);
        let result = self.session.execute_unpaged(statement, values).await;
        let result = result.map_err(|error| failed(action, &self.place(), error))?;
        result.into_rows_result().map_err(|error| unreadable(action, &self.place(), error))
    }

    /// The next page of a statement's rows, and where the one after it starts.
    pub(super) async fn page(
        &self,
        action: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        from: PagingState,
    ) -> Result<(QueryRowsResult, Option<PagingState>), StoreError> {
        let page = self.session.get_session().execute_single_page(statement, values, from).await;
        let (result, next) = page.map_err(|error| failed(action, &self.place(), error))?;
        let rows = result.into_rows_result().map_err(|error| unreadable(action, &self.place(), error))?;
        let next = match next {
            PagingStateResponse::HasMorePages { state } => Some(state),
            PagingStateResponse::NoMorePages => None,
        };
        Ok((rows, next))
    }
}
