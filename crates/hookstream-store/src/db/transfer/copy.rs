//! Copying, slice by slice; one slice is written while the next one is read.

use std::{ops::ControlFlow, sync::Arc};

use hookstream_model::base::time::Day;

use super::{
    Error, Slice, Transfer, converted,
    marker::Advance,
    tables::{TableOrder, steps},
};
use crate::db::statement::Value;

/// Progress after a copied slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Table.
    pub table: &'static str,
    /// Day, for a table kept by day.
    pub day: Option<Day>,
    /// Number of rows copied so far in this run.
    pub rows: u64,
}

impl Transfer<'_> {
    /// Copies the remaining rows. `watch` receives the progress after each durable slice, and may stop the copy
    /// there. Returns whether everything is copied.
    ///
    /// # Errors
    /// Fails if a store fails or another transfer is running; a transfer begun again continues.
    pub async fn copy(&mut self, watch: &mut (dyn FnMut(Moved) -> ControlFlow<()> + Send)) -> Result<bool, Error> {
        let steps = steps(&self.source.days().await?);
        let reached = steps.iter().position(|step| Some(step.to_string()) == self.marker.step);
        let mut after = reached.is_some().then(|| self.marker.key());
        let mut rows = 0;
        for step in steps.into_iter().skip(reached.unwrap_or(0)) {
            let mut slice = self.source.rows(step, after.take(), self.limits).await?;
            if let Some(day) = step.day
                && slice.last.is_some()
            {
                self.target.prepare_day(day).await?;
            }
            while let Some(last) = slice.last {
                rows += slice.rows.len() as u64;
                slice = self.write_and_read_next(step, slice.rows, last).await?;
                if watch(Moved { table: step.table.name, day: step.day, rows }).is_break() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Writes rows while reading the next ones.
    async fn write_and_read_next(&mut self, step: TableOrder, rows: Vec<Vec<Value>>, last: Vec<Value>) -> Result<Slice, Error> {
        let marker = self.marker.at(step, last.clone());
        let advance = Advance { from: self.marker.text(), to: marker.text() };
        let write = self.target.write_rows(step, Arc::new(converted(rows, self.target)), advance);
        let (is_advanced, next) = tokio::join!(write, self.source.rows(step, Some(last), self.limits));
        if !is_advanced? {
            return Err(Error::Overtaken);
        }
        self.marker = marker;
        Ok(next?)
    }
}
