//! A real server on a port of its own, over a small store made of rows.

mod described;
mod events;
mod fleet;
mod reader;
mod rules;
mod stage;
