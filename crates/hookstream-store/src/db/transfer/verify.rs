//! Comparison of both stores, which reads every row of both and does not rely on the copy.

use std::collections::BTreeSet;

use hookstream_model::base::time::Day;

use super::{
    Checksum, Error, Side, Transfer, converted,
    tables::{TABLES, TableOrder, steps},
};

/// Result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Tables, in the order of the copy.
    pub tables: Vec<TableReport>,
    /// Tables and days that differ.
    pub differences: Vec<Difference>,
}

/// Checksums of a table over all days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// Name of the table.
    pub table: &'static str,
    /// Number of days with rows.
    pub days: usize,
    /// Checksum of the source.
    pub source: Checksum,
    /// Checksum of the target.
    pub target: Checksum,
}

/// Table, or a day of one, that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Name of the table.
    pub table: &'static str,
    /// Day, for a table kept by day.
    pub day: Option<Day>,
    /// Checksum of the source.
    pub source: Checksum,
    /// Checksum of the target.
    pub target: Checksum,
}

impl Report {
    /// Returns whether the target equals the source.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// Returns the number of rows of the source.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.source.rows).sum()
    }

    fn add(&mut self, step: TableOrder, source: Checksum, target: Checksum) {
        let Some(table) = self.tables.iter_mut().find(|table| table.table == step.table.name) else { return };
        table.days += usize::from(step.day.is_some() && source.rows > 0);
        table.source.add(source);
        table.target.add(target);
        if source != target {
            self.differences.push(Difference { table: step.table.name, day: step.day, source, target });
        }
    }
}

impl Transfer<'_> {
    /// Compares both stores, each table by day.
    ///
    /// # Errors
    /// Fails if a store fails.
    pub async fn verify(&self) -> Result<Report, Error> {
        let mut days = BTreeSet::from_iter(self.source.days().await?);
        days.extend(self.target.days().await?);
        let empty = |table: &super::tables::Table| TableReport {
            table: table.name,
            days: 0,
            source: Checksum::default(),
            target: Checksum::default(),
        };
        let mut report = Report { tables: TABLES.iter().map(empty).collect(), differences: Vec::new() };
        for step in steps(&Vec::from_iter(days)) {
            let (source, target) = tokio::join!(self.checksum(self.source, step), self.checksum(self.target, step));
            report.add(step, source?, target?);
        }
        Ok(report)
    }

    /// Computes the checksum of a step's rows, in the form that the target stores.
    async fn checksum(&self, side: &dyn Side, step: TableOrder) -> Result<Checksum, Error> {
        let mut sum = Checksum::default();
        let mut slice = side.rows(step, None, self.limits).await?;
        while let Some(last) = slice.last {
            let rows = converted(slice.rows, self.target);
            let hash = tokio::task::spawn_blocking(move || Checksum::of(&rows));
            slice = side.rows(step, Some(last), self.limits).await?;
            let hashed = hash.await.map_err(|cause| crate::Error::Failed { operation: "compare rows", cause: cause.into() })?;
            sum.add(hashed);
        }
        Ok(sum)
    }
}
