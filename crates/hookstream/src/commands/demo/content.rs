//! Content of a demonstration: invented customers, their endpoints, and event types.

use serde_json::{Value, json};

/// Customer: an application with its endpoints.
pub(super) struct Customer {
    pub(super) uid: &'static str,
    pub(super) name: &'static str,
    /// Messages per hour at noon.
    pub(super) per_hour: f64,
    pub(super) endpoints: &'static [DemoEndpoint],
}

impl Customer {
    /// Returns true if an endpoint takes messages of a type.
    pub(super) fn takes(&self, event_type: &str) -> bool {
        let matches = |filter: &&str| filter.strip_suffix('*').map_or(*filter == event_type, |prefix| event_type.starts_with(prefix));
        self.endpoints.iter().any(|endpoint| endpoint.filter.is_empty() || endpoint.filter.iter().any(matches))
    }
}

/// Endpoint of a customer.
pub(super) struct DemoEndpoint {
    pub(super) uid: &'static str,
    pub(super) name: &'static str,
    pub(super) filter: &'static [&'static str],
    /// Mean time of a response, in milliseconds.
    pub(super) delay_ms: u32,
    /// Trouble of the endpoint.
    pub(super) trouble: Trouble,
}

/// Trouble of an endpoint, in minutes before the end of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// Responds with this status since then.
    Fails {
        status: u16,
        since: i64,
    },
    /// Responded with this status for a while, and works again.
    Failed {
        status: u16,
        since: i64,
        until: i64,
    },
    /// Takes longer than its timeout since then.
    Slow {
        since: i64,
    },
    /// Asked for no further messages then (410).
    Gone {
        at: i64,
    },
    /// Paused then.
    Paused {
        at: i64,
    },
}

const fn endpoint(uid: &'static str, name: &'static str, filter: &'static [&'static str], delay_ms: u32, trouble: Trouble) -> DemoEndpoint {
    DemoEndpoint { uid, name, filter, delay_ms, trouble }
}

/// Customers of the demonstration.
pub(super) const CUSTOMERS: [Customer; 10] = [
    Customer {
        uid: "haverbrook",
        name: "Haverbrook Supply",
        per_hour: 190.0,
        endpoints: &[
            endpoint("orders", "Haverbrook orders", &["order.*", "shipment.*"], 84, Trouble::Fails { status: 503, since: 96 }),
            endpoint("ledger", "Haverbrook ledger", &["invoice.*", "payout.created"], 41, Trouble::None),
        ],
    },
    Customer {
        uid: "saltmarsh",
        name: "Saltmarsh Outdoor",
        per_hour: 150.0,
        endpoints: &[endpoint("order-sync", "Order sync", &[], 112, Trouble::Failed { status: 502, since: 560, until: 540 })],
    },
    Customer {
        uid: "northpier",
        name: "Northpier Logistics",
        per_hour: 240.0,
        endpoints: &[
            endpoint("tracking", "Tracking", &["shipment.*"], 36, Trouble::None),
            endpoint("dispatch", "Dispatch", &["order.created", "order.cancelled"], 58, Trouble::None),
            endpoint("old-erp", "Old ERP", &["invoice.*"], 220, Trouble::Gone { at: 400 }),
        ],
    },
    Customer {
        uid: "quillon",
        name: "Quillon Books",
        per_hour: 70.0,
        endpoints: &[endpoint("shop", "Shop", &["order.*"], 66, Trouble::None)],
    },
    Customer {
        uid: "fernhill",
        name: "Fernhill Energy",
        per_hour: 110.0,
        endpoints: &[
            endpoint("billing", "Billing", &["invoice.*"], 95, Trouble::Slow { since: 34 }),
            endpoint("meters", "Meters", &["customer.*"], 47, Trouble::None),
        ],
    },
    Customer {
        uid: "ambersand",
        name: "Ambersand Hotels",
        per_hour: 95.0,
        endpoints: &[endpoint(
            "reservations",
            "Reservations",
            &["order.*", "customer.updated"],
            74,
            Trouble::Failed { status: 500, since: 1_020, until: 985 },
        )],
    },
    Customer {
        uid: "copperline",
        name: "Copperline Rail",
        per_hour: 60.0,
        endpoints: &[endpoint("tickets", "Tickets", &[], 128, Trouble::None)],
    },
    Customer {
        uid: "brightwell",
        name: "Brightwell Dental",
        per_hour: 22.0,
        endpoints: &[endpoint("practice", "Practice", &["invoice.paid", "invoice.overdue"], 53, Trouble::Paused { at: 45 })],
    },
    Customer {
        uid: "lumenfield",
        name: "Lumenfield Solar",
        per_hour: 35.0,
        endpoints: &[
            endpoint("installer", "Installer portal", &["order.*"], 61, Trouble::None),
            endpoint("grants", "Grants", &["payout.created"], 190, Trouble::None),
        ],
    },
    Customer {
        uid: "marlowe",
        name: "Marlowe Pharmacy",
        per_hour: 48.0,
        endpoints: &[endpoint("stock", "Stock", &["shipment.delivered", "order.created"], 33, Trouble::None)],
    },
];

/// Event types with their share of the messages and their description.
pub(super) const TYPES: [(&str, u32, &str); 12] = [
    ("order.created", 22, "A customer placed an order."),
    ("order.paid", 14, "The payment of an order succeeded."),
    ("order.cancelled", 3, "An order was cancelled before it was shipped."),
    ("shipment.created", 14, "A parcel was handed to a carrier."),
    ("shipment.delivered", 12, "A parcel reached its address."),
    ("shipment.delayed", 2, "A carrier reported a delay."),
    ("invoice.finalized", 8, "An invoice got its number and can no longer change."),
    ("invoice.paid", 11, "A customer paid an invoice."),
    ("invoice.overdue", 2, "An invoice is past its due date."),
    ("customer.created", 4, "A customer account was created."),
    ("customer.updated", 6, "A customer changed their account."),
    ("payout.created", 2, "A payout to a bank account was started."),
];

/// Schema of an event type.
pub(super) fn schema(event_type: &str) -> Value {
    let amount = json!({ "type": "integer", "minimum": 0, "description": "Amount in the currency's smallest unit" });
    let currency = json!({ "type": "string", "description": "Currency (ISO 4217)" });
    let created_at = json!({ "type": "string", "format": "date-time", "description": "Time of the event (ISO 8601)" });
    let id = |what: &str| json!({ "type": "string", "description": format!("Id of the {what}") });
    let (properties, required) = match event_type.split('.').next().unwrap_or_default() {
        "order" => (
            json!({ "order_id": id("order"), "total": amount, "currency": currency, "items": { "type": "integer", "minimum": 1 }, "created_at": created_at }),
            json!(["order_id", "total"]),
        ),
        "shipment" => (
            json!({ "shipment_id": id("shipment"), "order_id": id("order"), "carrier": { "type": "string", "description": "Name of the carrier" }, "created_at": created_at }),
            json!(["shipment_id", "order_id"]),
        ),
        "invoice" => (
            json!({ "invoice_id": id("invoice"), "number": { "type": "string" }, "amount": amount, "currency": currency, "created_at": created_at }),
            json!(["invoice_id", "amount"]),
        ),
        "customer" => (
            json!({ "customer_id": id("customer"), "email": { "type": "string", "format": "email" }, "created_at": created_at }),
            json!(["customer_id"]),
        ),
        _ => (
            json!({ "payout_id": id("payout"), "amount": amount, "currency": currency, "created_at": created_at }),
            json!(["payout_id", "amount"]),
        ),
    };
    json!({ "type": "object", "properties": properties, "required": required })
}

/// Payload of a message. `number` makes it differ from others.
pub(super) fn payload(event_type: &str, number: u64, created_at: &str) -> Value {
    let (amount, currency) = (450 + (number * 7_919) % 48_000, ["EUR", "USD", "GBP"][usize::try_from(number % 3).unwrap_or(0)]);
    let carrier = ["Kestrel Post", "Overland", "Harbour Express"][usize::try_from(number % 3).unwrap_or(0)];
    match event_type.split('.').next().unwrap_or_default() {
        "order" => {
            json!({ "order_id": format!("ord_{number}"), "total": amount, "currency": currency, "items": 1 + number % 6, "created_at": created_at })
        }
        "shipment" => {
            json!({ "shipment_id": format!("shp_{number}"), "order_id": format!("ord_{}", number.saturating_sub(40)), "carrier": carrier, "created_at": created_at })
        }
        "invoice" => {
            json!({ "invoice_id": format!("inv_{number}"), "number": format!("2026-{number:05}"), "amount": amount, "currency": currency, "created_at": created_at })
        }
        "customer" => {
            json!({ "customer_id": format!("cus_{number}"), "email": format!("customer{number}@example.com"), "created_at": created_at })
        }
        _ => json!({ "payout_id": format!("pay_{number}"), "amount": amount * 9, "currency": currency, "created_at": created_at }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn payloads_follow_their_schemas_and_names_are_unique() {
        for (event_type, ..) in TYPES {
            let (schema, payload) = (schema(event_type), payload(event_type, 7, "2026-11-29T12:00:00Z"));
            for required in schema["required"].as_array().expect("names") {
                assert!(payload.get(required.as_str().expect("a name")).is_some(), "{event_type}: {required}");
            }
            for name in payload.as_object().expect("fields").keys() {
                assert!(schema["properties"].get(name).is_some(), "{event_type}: {name}");
            }
        }
        let uids: HashSet<_> = CUSTOMERS.iter().map(|customer| customer.uid).collect();
        assert_eq!(uids.len(), CUSTOMERS.len());
        for customer in CUSTOMERS {
            let known = |filter: &str| TYPES.iter().any(|(name, ..)| name.starts_with(filter.trim_end_matches('*')));
            assert!(TYPES.iter().any(|(name, ..)| customer.takes(name)), "{}", customer.name);
            assert!(customer.endpoints.iter().all(|endpoint| endpoint.filter.iter().all(|filter| known(filter))), "{}", customer.name);
        }
    }
}
