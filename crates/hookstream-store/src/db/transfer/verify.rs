//! Comparing: every row of both stores is read, and nothing of what was copied is taken on trust.

use std::collections::BTreeSet;

use hookstream_model::base::time::Day;

use super::{
    Checksum, Error, Side, Transfer, converted,
    tables::{TABLES, TableOrder, steps},
};

/// What was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The tables, in the order they are copied.
    pub tables: Vec<TableReport>,
    /// What is not equal.
    pub differences: Vec<Difference>,
}

/// A table, over all days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// Its name.
    pub table: &'static str,
    /// How many days of it have rows.
    pub days: usize,
    /// What the source has.
    pub source: Checksum,
    /// What the target has.
    pub target: Checksum,
}

/// A table, or a day of one, that is not equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which table.
    pub table: &'static str,
    /// Which day of it.
    pub day: Option<Day>,
    /// What the source has.
    pub source: Checksum,
    /// What the target has.
    pub target: Checksum,
}

impl Report {
    /// Whether the target has what the source has.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// How many rows the source has.
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
    /// Where a store fails.
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

    /// Of a step's rows as the target has them or should.
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
