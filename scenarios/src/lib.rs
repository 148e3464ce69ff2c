//! Recordings and what must come of them: the cases, their goldens, the cache of a decoded recording, other people's
//! tables as messages, and the simulator. Nothing here runs the job; the tests that do live with `dataflow`.

pub mod bundled;
pub mod cache;
pub mod case;
pub mod compare;
pub mod csv;
pub mod render;
pub mod simulate;
pub mod simulator;
pub mod situations;
