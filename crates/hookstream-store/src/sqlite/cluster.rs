//! The only process that works on a SQLite store.

use std::time::Duration;

use async_trait::async_trait;
use hookstream_model::{base::time::Timestamp, delivery::queue::Shards};
use tokio::sync::broadcast;

use crate::{
    db::error::Error,
    delivery::{
        cluster::{Cluster, LeaseRenewal, Node, NodeReport, NodeSelf, Nudge},
        deliveries::Owner,
    },
    sqlite::{SqliteStore, db::files::Files},
};

#[async_trait]
impl Cluster for SqliteStore {
    async fn enlist(&self, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error> {
        let replaces = node.replaces;
        let enlist = move |files: &mut Files| match replaces {
            None => crate::sqlite::deliveries::claim::enlist(files, now),
            // Deliveries of the former number are still in the process's memory.
            Some(_) => crate::sqlite::deliveries::claim::add_owner(files, now),
        };
        let owner = self.writer.run(enlist).await?;
        let mut single_node = self.single_node();
        match replaces {
            None => single_node.earlier.clear(),
            Some(before) => single_node.earlier.push(before),
        }
        single_node.node = Some(Node {
            owner,
            name: node.name.clone(),
            role: node.role.to_owned(),
            version: node.version.to_owned(),
            started_at: now,
            renewed_at: now,
            lapses_at: None,
            report: NodeReport::default(),
        });
        Ok(owner)
    }

    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error> {
        let mut single_node = self.single_node();
        let is_known = single_node.node.as_ref().is_some_and(|node| node.owner == owner) || single_node.earlier.contains(&owner);
        if let Some(node) = single_node.node.as_mut().filter(|node| node.owner == owner) {
            node.renewed_at = now;
            node.report = report;
        }
        Ok(if is_known { LeaseRenewal::Held { released: 0, shards: Shards::ALL, surplus: 0 } } else { LeaseRenewal::Expired })
    }

    async fn retire(&self, owner: Owner, _: Timestamp) -> Result<(), Error> {
        {
            let mut single_node = self.single_node();
            single_node.node.take_if(|node| node.owner == owner);
            single_node.earlier.retain(|earlier| *earlier != owner);
        }
        self.writer.run(move |files| crate::sqlite::deliveries::claim::retire(files, owner)).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        Ok(self.single_node().node.clone().into_iter().collect())
    }

    fn nudges(&self) -> broadcast::Receiver<Nudge> {
        self.nudges.subscribe()
    }

    async fn release_shards(&self, _: Owner, _: Shards) -> Result<(), Error> {
        // No other node exists.
        Ok(())
    }
}
