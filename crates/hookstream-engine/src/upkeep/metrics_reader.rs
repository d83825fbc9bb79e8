//! Metrics as the API reads them: those of the store, and those that this node has not written yet.

use std::collections::BTreeMap;

use hookstream_model::{
    base::{
        ids::{EnvironmentId, RouteId},
        time::Timestamp,
    },
    operations::metrics::{ErrorKey, Scope, Stats},
};
use hookstream_store::{
    Error,
    operations::metrics::{self, Range},
};

use crate::Handle;

impl Handle {
    /// Returns the numbers of a series by the start of their step; steps without numbers are missing. Numbers of this
    /// node are up to date, those of other nodes up to a minute old.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn metrics(&self, range: &Range) -> Result<BTreeMap<Timestamp, Stats>, Error> {
        let core = &self.core;
        let _still = core.metrics.moving.read().await;
        let mut series = metrics::series(&*core.store, range).await?;
        for (start, amounts) in core.metrics.unwritten(range, core.now()) {
            *series.entry(start).or_default() += amounts.stats;
        }
        Ok(series)
    }

    /// Returns the deliveries of an environment's routes since the start of a day: accepted, arrived and ended.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn metrics_by_route(&self, environment: EnvironmentId, from: Timestamp) -> Result<BTreeMap<RouteId, Stats>, Error> {
        let core = &self.core;
        let _still = core.metrics.moving.read().await;
        let mut routes = metrics::by_route(&*core.store, environment, from).await?;
        for (route, stats) in core.metrics.unwritten_by_route(environment, from, core.now()) {
            *routes.entry(route).or_default() += stats;
        }
        Ok(routes)
    }

    /// Returns the sums of all subjects of a kind in a range of minutes, by the id of the subject. Numbers of this node are up to
    /// date, those of other nodes up to a minute old.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn metric_sums(
        &self,
        environment: EnvironmentId,
        of: &Scope,
        from: Timestamp,
        before: Timestamp,
    ) -> Result<BTreeMap<Vec<u8>, Stats>, Error> {
        let core = &self.core;
        let _still = core.metrics.moving.read().await;
        let mut sums = metrics::sums(&*core.store, environment, of, from, before).await?;
        for (scope, _, stats) in core.metrics.unwritten_sums(environment, of.kind(), (from, before), core.now()) {
            *sums.entry(scope).or_default() += stats;
        }
        Ok(sums)
    }

    /// Returns the minutes in which something fell due that is still pending, newest first, with the number: of all subjects of a kind, by
    /// their ids. Numbers of this node are up to date, those of other nodes up to a minute old.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn metric_pending(
        &self,
        environment: EnvironmentId,
        of: &Scope,
        from: Timestamp,
        before: Timestamp,
    ) -> Result<BTreeMap<Vec<u8>, Vec<(Timestamp, i64)>>, Error> {
        let core = &self.core;
        let _still = core.metrics.moving.read().await;
        let mut numbers: BTreeMap<Vec<u8>, BTreeMap<Timestamp, i64>> = BTreeMap::new();
        for (scope, steps) in metrics::pending(&*core.store, environment, of, from, before).await? {
            numbers.entry(scope).or_default().extend(steps);
        }
        for (scope, start, stats) in core.metrics.unwritten_sums(environment, of.kind(), (from, before), core.now()) {
            let Stats { accepted, arrived, ended, .. } = stats;
            *numbers.entry(scope).or_default().entry(start).or_default() += accepted - arrived - ended;
        }
        let pending = |steps: BTreeMap<Timestamp, i64>| steps.into_iter().rev().filter(|(_, pending)| *pending > 0).collect();
        Ok(numbers.into_iter().map(|(scope, steps)| (scope, pending(steps))).collect())
    }

    /// Returns the failed attempts of a series by the start of their step and by error.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn metric_errors(&self, range: &Range) -> Result<BTreeMap<Timestamp, BTreeMap<ErrorKey, i64>>, Error> {
        let core = &self.core;
        let _still = core.metrics.moving.read().await;
        let mut series = metrics::errors_of(&*core.store, range).await?;
        for (start, amounts) in core.metrics.unwritten(range, core.now()) {
            let of_step = series.entry(start).or_default();
            for (error, attempts) in amounts.errors {
                *of_step.entry(error).or_default() += attempts;
            }
        }
        Ok(series)
    }
}
