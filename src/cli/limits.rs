//! Settings of the session that come from flags and the environment.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::execution::memory_pool::{FairSpillPool, GreedyMemoryPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion_cli::pool_type::PoolType;

use super::arguments::Arguments;
use crate::error::{Error, Result};

/// Applies the environment's `DATAFUSION_*` settings and the flags, which win.
///
/// # Errors
/// A value that a setting does not take.
pub(crate) fn apply(context: &SessionContext, arguments: &Arguments) -> Result<()> {
    {
        let state = context.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        for (key, value) in settings(
            arguments,
            ConfigOptions::default().entries().into_iter().map(|entry| entry.key),
        ) {
            options.set(&key, &value).map_err(|error| {
                let error = Error::from(error);
                Error::new(error.kind(), format!("{key} cannot be {value}: {}", error.message()))
            })?;
        }
    }
    limit(context, arguments)
}

/// The settings that differ from the session's own.
fn settings(arguments: &Arguments, keys: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let mut settings = vec![
        // A result shows what is there, and a plan what it looks like.
        ("datafusion.format.null".to_string(), "NULL".to_string()),
        ("datafusion.explain.format".to_string(), "tree".to_string()),
        ("datafusion.catalog.information_schema".to_string(), "true".to_string()),
    ];
    settings.extend(keys.filter_map(|key| {
        let value = std::env::var(key.to_uppercase().replace('.', "_")).ok()?;
        Some((key, value))
    }));
    if let Some(rows) = arguments.batch_size {
        settings.push(("datafusion.execution.batch_size".to_string(), rows.to_string()));
    }
    settings
}

/// Bounds memory and disk space as the flags say.
fn limit(context: &SessionContext, arguments: &Arguments) -> Result<()> {
    if arguments.memory_limit.is_none() && arguments.disk_limit.is_none() {
        return Ok(());
    }
    let state = context.state_ref();
    let mut state = state.write();
    let mut builder = RuntimeEnvBuilder::from_runtime_env(state.runtime_env());
    if let Some(bytes) = arguments.memory_limit {
        builder = builder.with_memory_pool(memory_pool(bytes, arguments));
    }
    if let Some(bytes) = arguments.disk_limit {
        builder = builder.with_max_temp_directory_size(bytes as u64);
    }
    let runtime = builder.build_arc()?;
    *state = SessionStateBuilder::new_from_existing(state.clone())
        .with_runtime_env(runtime)
        .build();
    Ok(())
}

fn memory_pool(bytes: usize, arguments: &Arguments) -> Arc<dyn MemoryPool> {
    match (
        &arguments.memory_pool,
        NonZeroUsize::new(arguments.top_memory_consumers),
    ) {
        (PoolType::Greedy, None) => Arc::new(GreedyMemoryPool::new(bytes)),
        (PoolType::Greedy, Some(top)) => Arc::new(TrackConsumersPool::new(GreedyMemoryPool::new(bytes), top)),
        (PoolType::Fair, None) => Arc::new(FairSpillPool::new(bytes)),
        (PoolType::Fair, Some(top)) => Arc::new(TrackConsumersPool::new(FairSpillPool::new(bytes), top)),
    }
}
