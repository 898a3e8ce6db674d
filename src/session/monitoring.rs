//! What front doors that run for long need of the monitor.

use std::net::SocketAddr;

use super::Session;
use crate::error::Result;
use crate::monitor::{Check, checks};

impl Session {
    /// Looks at the store and at every table, as `system.health` does.
    pub(crate) async fn health(&self) -> Vec<Check> {
        checks(&self.lake).await
    }

    /// Answers monitoring systems at an address, which is returned with the port that was taken.
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub(crate) async fn serve_metrics(&self, address: SocketAddr) -> Result<SocketAddr> {
        crate::monitor::listen(self.lake.clone(), address).await
    }
}
