//! What the pages ask of the program: the words of the commands, the controls, and how the job is doing. The commands make the
//! answers; here they are only handed on.

mod desk;
mod job;

use dashboard::Feed;
use model::Row;

pub use desk::Desk;
pub use job::Watched;

use crate::checkpoint::Start;
use crate::outlets::Outlet;

/// Shows on the board what has become durable.
pub struct BoardOutlet(pub Feed);

impl Outlet for BoardOutlet {
    fn begin(&mut self, _start: &Start) {}

    fn note(&mut self, rows: &[Row]) {
        self.0.note(rows);
    }

    fn tell(&mut self) -> Result<(), String> {
        self.0.tell();
        Ok(())
    }
}
