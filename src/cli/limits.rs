//! What flags and the environment say about the session: DataFusion's settings, memory and disk space.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::execution::memory_pool::{FairSpillPool, GreedyMemoryPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use datafusion_cli::pool_type::PoolType;

use super::arguments::Arguments;
use crate::error::{Error, Result};
use crate::session::BalancedPool;

/// DataFusion's settings: those that suit a person who reads, then the environment's, then the flags'.
///
/// # Errors
/// A value that a setting does not take.
pub(crate) fn config(arguments: &Arguments) -> Result<SessionConfig> {
    let mut options = ConfigOptions::new();
    let keys = options.entries().into_iter().map(|entry| entry.key);
    let mut settings = vec![
        ("datafusion.format.null".to_string(), "NULL".to_string()),
        ("datafusion.explain.format".to_string(), "tree".to_string()),
    ];
    settings.extend(keys.filter_map(|key| {
        let value = std::env::var(key.to_uppercase().replace('.', "_")).ok()?;
        Some((key, value))
    }));
    if let Some(rows) = arguments.batch_size {
        settings.push(("datafusion.execution.batch_size".to_string(), rows.to_string()));
    }
    for (key, value) in settings {
        options.set(&key, &value).map_err(|error| {
            let error = Error::from(error);
            Error::new(error.kind(), format!("{key} cannot be {value}: {}", error.message()))
        })?;
    }
    Ok(SessionConfig::from(options))
}

/// The memory and the disk space that statements may take.
pub(crate) fn runtime(arguments: &Arguments) -> RuntimeEnvBuilder {
    let mut builder = RuntimeEnvBuilder::new();
    if let Some(bytes) = arguments.memory_limit {
        builder = builder.with_memory_pool(memory_pool(bytes, arguments));
    }
    if let Some(bytes) = arguments.disk_limit {
        builder = builder.with_max_temp_directory_size(bytes as u64);
    }
    builder
}

fn memory_pool(bytes: usize, arguments: &Arguments) -> Arc<dyn MemoryPool> {
    let top = NonZeroUsize::new(arguments.top_memory_consumers);
    match arguments.memory_pool {
        None => tracked(BalancedPool::new(bytes), top),
        Some(PoolType::Greedy) => tracked(GreedyMemoryPool::new(bytes), top),
        Some(PoolType::Fair) => tracked(FairSpillPool::new(bytes), top),
    }
}

/// A pool whose errors name its largest consumers.
fn tracked(pool: impl MemoryPool, top: Option<NonZeroUsize>) -> Arc<dyn MemoryPool> {
    match top {
        None => Arc::new(pool),
        Some(top) => Arc::new(TrackConsumersPool::new(pool, top)),
    }
}
