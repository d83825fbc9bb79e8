//! History of a demonstration: a day of messages, sent while the server's clock catches up, and traffic from then on.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use hookstream_cli::api::ApiClient;
use hookstream_model::base::time::Clock;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{
    clock::DemoClock,
    content::{self, CUSTOMERS, Customer, DemoEndpoint, TYPES, Trouble},
};

/// Step of the history, in minutes.
const STEP: i64 = 5;
/// Messages sent at once.
const AT_ONCE: usize = 64;
/// Timeout of an endpoint that is slow, and its delay then, in milliseconds.
const SLOW: (u32, u32) = (1_000, 20_000);

/// Sender of the demonstration.
pub(super) struct Sender {
    client: Arc<ApiClient>,
    clock: Arc<DemoClock>,
    rng: StdRng,
    number: u64,
}

impl Sender {
    pub(super) fn new(client: Arc<ApiClient>, clock: Arc<DemoClock>) -> Self {
        Self { client, clock, rng: StdRng::seed_from_u64(7), number: 10_000 }
    }

    /// Creates event types, customers and endpoints.
    pub(super) async fn set_up(&self) -> anyhow::Result<()> {
        for (name, _, description) in TYPES {
            let body = json!({ "name": name, "description": description, "json_schema": content::schema(name) });
            self.client.post("/event-types", body.to_string(), None).await?.accepted()?;
        }
        for customer in CUSTOMERS {
            let body = json!({ "name": customer.name, "uid": customer.uid });
            self.client.post("/applications", body.to_string(), None).await?.accepted()?;
            for endpoint in customer.endpoints {
                let body = json!({
                    "type": "test_receiver", "uid": endpoint.uid, "description": endpoint.name, "filter_types": endpoint.filter,
                    "timeout_ms": if matches!(endpoint.trouble, Trouble::Slow { .. }) { SLOW.0 } else { 20_000 },
                    "config": { "status": "200", "delay_ms": endpoint.delay_ms.to_string() },
                });
                self.client.post(&format!("/applications/{}/endpoints", customer.uid), body.to_string(), None).await?.accepted()?;
            }
        }
        Ok(())
    }

    /// Sends the messages of the last `minutes` minutes, step by step, and lets things go wrong at their time.
    pub(super) async fn play(&mut self, minutes: i64) -> anyhow::Result<()> {
        let mut left = minutes;
        while left > 0 {
            self.clock.advance_to(left * 60_000);
            for customer in CUSTOMERS {
                for endpoint in customer.endpoints {
                    self.happen(customer.uid, endpoint, left).await?;
                }
            }
            let share = busyness(self.hour()) * f64::from(i32::try_from(STEP).unwrap_or(1)) / 60.0;
            for customer in CUSTOMERS {
                let expected = customer.per_hour * share * self.rng.random_range(0.7..1.3);
                let count = whole(expected, self.rng.random());
                self.send(&customer, count).await?;
            }
            // Attempts of this step end before the next begins.
            tokio::time::sleep(Duration::from_millis(60)).await;
            left -= STEP;
        }
        self.clock.advance_to(0);
        Ok(())
    }

    /// Sends messages at the usual rate until the process stops.
    pub(super) async fn go_on(mut self) -> anyhow::Result<()> {
        let period = Duration::from_secs(2);
        let mut ticks = tokio::time::interval(period);
        loop {
            ticks.tick().await;
            let share = busyness(self.hour()) * period.as_secs_f64() / 3600.0;
            for customer in CUSTOMERS {
                let count = whole(customer.per_hour * share, self.rng.random());
                self.send(&customer, count).await?;
            }
        }
    }

    async fn send(&mut self, customer: &Customer, count: u64) -> anyhow::Result<()> {
        let path = format!("/applications/{}/messages", customer.uid);
        let created_at = self.clock.now().to_string();
        let bodies: Vec<String> = (0..count).map(|_| self.message(customer, &created_at)).collect();
        // Together, so that the server stores them in few commits.
        let (client, path) = (&self.client, &path);
        let sends = bodies.into_iter().map(|body| async move { client.post(path, body, None).await?.accepted() });
        futures_util::stream::iter(sends).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await
    }

    fn message(&mut self, customer: &Customer, created_at: &str) -> String {
        self.number += 1;
        // Few messages are of a type that no endpoint of the customer takes.
        let is_any = self.rng.random_range(0..50) == 0;
        let of_customer: Vec<_> = TYPES.iter().filter(|(name, ..)| is_any || customer.takes(name)).collect();
        let mut share = self.rng.random_range(0..of_customer.iter().map(|(_, share, _)| share).sum::<u32>());
        let chosen = of_customer.iter().find(|(_, of_type, _)| {
            let is_it = share < *of_type;
            share = share.saturating_sub(*of_type);
            is_it
        });
        let event_type = chosen.map_or(TYPES[0].0, |(name, ..)| name);
        json!({
            "event_type": event_type,
            "payload": content::payload(event_type, self.number, created_at),
            "event_id": format!("evt_{}", self.number),
        })
        .to_string()
    }

    /// Applies what happens to an endpoint in the step that begins `left` minutes before the end.
    async fn happen(&self, customer: &str, endpoint: &DemoEndpoint, left: i64) -> anyhow::Result<()> {
        let is_now = |at: i64| (left - STEP..left).contains(&at);
        let responds = |status: u16, delay_ms: u32| json!({ "config": { "status": status.to_string(), "delay_ms": delay_ms.to_string() } });
        let change = match endpoint.trouble {
            Trouble::Fails { status, since } | Trouble::Failed { status, since, .. } if is_now(since) => {
                responds(status, endpoint.delay_ms)
            }
            Trouble::Failed { until, .. } if is_now(until) => responds(200, endpoint.delay_ms),
            Trouble::Slow { since } if is_now(since) => responds(200, SLOW.1),
            Trouble::Gone { at } if is_now(at) => responds(410, endpoint.delay_ms),
            Trouble::Paused { at } if is_now(at) => json!({ "status": "paused" }),
            _ => return Ok(()),
        };
        let path = format!("/applications/{customer}/endpoints/{}", endpoint.uid);
        self.client.patch(&path, change.to_string()).await?.accepted()?;
        Ok(())
    }

    /// Hour of the day (UTC), with its fraction.
    fn hour(&self) -> f64 {
        let minutes = self.clock.now().as_seconds() / 60 % (24 * 60);
        f64::from(i32::try_from(minutes).unwrap_or(0)) / 60.0
    }
}

/// Traffic at an hour of the day, relative to noon: a quiet night and a busy day.
fn busyness(hour: f64) -> f64 {
    0.55 + 0.45 * ((hour - 13.0) / 24.0 * std::f64::consts::TAU).cos()
}

/// Rounds a number up with the probability of its fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred messages at most")]
fn whole(expected: f64, chance: f64) -> u64 {
    expected.floor() as u64 + u64::from(chance < expected.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_low_at_night_and_high_by_day() {
        assert!(busyness(1.0) < 0.2 && busyness(13.0) > 0.99);
        assert_eq!([whole(2.0, 0.9), whole(2.5, 0.4), whole(2.5, 0.6)], [2, 3, 2]);
    }
}
