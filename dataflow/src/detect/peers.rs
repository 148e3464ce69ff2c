//! A device among the others of its type.

use model::Peers;
use udfs::PeersConfig;

use super::{Context, DeviceState};
use crate::faults::Faults;
use crate::operators::peers::Table;

impl Context {
    /// Start of the window whose peers count for the one at `start_ms`.
    pub fn peers_ms(&self, start_ms: i64, faults: &Faults) -> i64 {
        let peers = &self.config.usual.peers;
        if faults.peers_of_same_window {
            return peers.before_ms(start_ms.saturating_add(self.width_ms), self.width_ms);
        }
        peers.before_ms(start_ms, self.width_ms)
    }
}

impl DeviceState {
    /// What its peers show, by slot; nothing where nobody has any, or fewer than its type asks for.
    pub(super) fn peers(&mut self, table: &mut Table, config: &PeersConfig) -> Vec<Option<Peers>> {
        if table.is_empty() || config.min_devices == 0 {
            return Vec::new();
        }
        for name in &self.names[self.peer_numbers.len()..] {
            self.peer_numbers.push(table.number(&self.place.device_type, name));
        }
        let enough = |peers: &Peers| peers.devices >= config.min_devices;
        self.peer_numbers.iter().map(|&number| table.get(number).filter(enough)).collect()
    }
}
