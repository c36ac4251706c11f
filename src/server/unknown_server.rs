//! Chooses the scopes of the upstream of `up UPSTREAM_URL`, of which nothing but the URL is known, by what its tools
//! say of themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::error::RunError;
use crate::clock::Clock;
use crate::config::{Config, Overrides};
use crate::proxy::RouteTable;
use crate::telemetry::Metrics;

/// How long a start waits for the list of tools.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the upstream, and returns the configuration with its scopes, and the table of routes that learnt its lists. If
/// it cannot be asked, it has the scopes of the last start; a reload and the commands use what is noted in `overrides`.
///
/// # Errors
/// `RunError` when a CA file cannot be used.
pub(super) async fn choose_scopes(
    config: Config,
    overrides: &mut Overrides,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<(Config, Option<Arc<RouteTable>>), RunError> {
    let Some(name) = config.unknown_server().map(|upstream| upstream.name.clone()) else { return Ok((config, None)) };
    // Only what has rules is listed.
    let asking = config.scoped(true);
    let table = Arc::new(RouteTable::build(&asking, Arc::clone(clock)).map_err(RunError::Roots)?);
    let (asked, upstream, metrics) = (Arc::clone(&table), name.clone(), metrics.worker());
    // On a task of its own, which ends its session even if it comes too late.
    let asking_it = tokio::spawn(async move { asked.ask_for_offers(&upstream, &metrics).await });
    let offers = match timeout(PATIENCE, asking_it).await {
        Ok(Ok(offers)) => offers,
        Ok(Err(_)) => Err("the process ends".to_owned()),
        Err(_) => Err(format!("there was no answer within {PATIENCE:?}")),
    };
    let found = offers.as_ref().map(|offers| offers.tools.iter().any(|tool| tool.annotations.read_only));
    overrides.by_annotation = found.unwrap_or(overrides.by_annotation);
    let config = asking.scoped(overrides.by_annotation);
    let names = config.unknown_server().map(|upstream| upstream.default_scopes.to_string()).unwrap_or_default();
    match offers {
        Ok(_) if overrides.by_annotation => tracing::info!(
            upstream = name,
            scopes = names,
            "the tools of the upstream say whether they only read, and so there are permissions for reading and for the \
             rest"
        ),
        Ok(_) => tracing::info!(
            upstream = name,
            scopes = names,
            "no tool of the upstream says that it only reads, and so there is one permission for everything"
        ),
        Err(why) => tracing::warn!(
            upstream = name,
            scopes = names,
            "the upstream could not be asked for its tools, and so there are the permissions of the last start, or one \
             for everything: {why}"
        ),
    }
    Ok((config, Some(table)))
}
