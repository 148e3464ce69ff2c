//! Pages and `/api/v1` over HTTP: the fleet as it stands, devices over time, incidents with their reasons, the job's health.
//!
//! It has the fleet in memory ([`Board`]), fed by the rows of a running job ([`Feed`]) or looked up in the store; everything else
//! is read from the store on a few threads of its own. What only the program around it knows, it asks through [`Program`].
//! It has never heard of workers and frontiers, and nothing in the job waits for it.

mod assets;
mod board;
mod clock;
mod feed;
mod follow;
mod guard;
mod hub;
mod labels;
mod problem;
mod program;
mod readers;
mod routes;
mod series;
mod server;
pub mod wire;

pub use board::Board;
pub use feed::Feed;
pub use program::{Program, Refusal, Word};
pub use routes::openapi;
pub use server::{Options, Server, start};
