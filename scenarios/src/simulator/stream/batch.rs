//! Where a batch's messages are written.

use super::SimulatedMessage;

/// Messages written over those of the batch before, so that their buffers are used again.
pub(super) struct Batch<'a> {
    pub(super) messages: &'a mut Vec<SimulatedMessage>,
    pub(super) used: usize,
}

impl Batch<'_> {
    pub(super) fn message(&mut self) -> &mut SimulatedMessage {
        if self.used == self.messages.len() {
            self.messages.push(SimulatedMessage::default());
        }
        self.used += 1;
        &mut self.messages[self.used - 1]
    }
}
