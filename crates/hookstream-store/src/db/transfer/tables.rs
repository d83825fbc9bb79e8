//! Tables of a transfer, their columns, and the form of both in each database.
//!
//! A new table or column must be listed here; tests of both databases fail until it is.

use std::fmt;

use hookstream_model::base::time::Day;

pub(crate) use crate::db::resource::table::{Column, ColumnKind};
use crate::{
    identity::{api_keys, environments, organizations},
    operations::{alert_rules, alerts, jobs, views},
    outbound::{applications, endpoints, event_types},
};

/// Form of a table in one database.
#[derive(Debug)]
pub(crate) struct Form {
    /// Table to write to.
    pub(crate) into: &'static str,
    /// Table to read from, or a query that returns rows in the common form.
    pub(crate) from: &'static str,
    /// Columns with an index that identify a row: rows are read in their order.
    pub(crate) key: &'static [&'static str],
    /// Columns that are written as 0 and not read.
    pub(crate) zero: &'static [&'static str],
    /// Source of a row's day.
    pub(crate) day: DayBy,
}

/// Source of a row's day.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DayBy {
    /// File of the row; a row of the configuration has no day.
    File,
    /// Time in this id column.
    Id(&'static str),
    /// Column with the day's number.
    Number(&'static str),
}

/// Table to transfer.
#[derive(Debug)]
pub(crate) struct Table {
    /// Name in reports.
    pub(crate) name: &'static str,
    /// Columns to read and write.
    pub(crate) columns: &'static [Column],
    /// Whether the table is kept by day.
    pub(crate) by_day: bool,
    /// Key columns for which a newer day's row replaces an older one, if the days have separate tables.
    pub(crate) newest_of: &'static [&'static str],
    pub(crate) sqlite: Form,
    pub(crate) postgres: Form,
}

/// Unit of copying and comparing: a table, or one day of a table kept by day.
#[derive(Debug, Clone, Copy)]
pub struct TableOrder {
    pub(crate) table: &'static Table,
    pub(crate) day: Option<Day>,
}

impl fmt::Display for TableOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table.name)?;
        self.day.map_or(Ok(()), |day| write!(f, " of {day}"))
    }
}

/// Returns the steps of a transfer in order: the configuration, then the messages day by day.
pub(crate) fn steps(days: &[Day]) -> Vec<TableOrder> {
    let configured = TABLES.iter().filter(|table| !table.by_day).map(|table| TableOrder { table, day: None });
    let of_day =
        |day: &Day| TABLES.iter().filter(|table| table.by_day).map(|table| TableOrder { table, day: Some(*day) }).collect::<Vec<_>>();
    configured.chain(days.iter().flat_map(of_day)).collect()
}

impl Table {
    /// Returns the positions of columns in a row.
    pub(crate) fn positions(&self, names: &[&str]) -> Vec<usize> {
        names.iter().filter_map(|name| self.columns.iter().position(|column| column.name == *name)).collect()
    }

    /// Returns the names of the columns, as a statement lists them.
    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }
}

impl Form {
    const fn plain(name: &'static str, key: &'static [&'static str]) -> Self {
        Self { into: name, from: name, key, zero: &[], day: DayBy::File }
    }

    const fn by_id(name: &'static str, key: &'static [&'static str], id: &'static str) -> Self {
        Self { day: DayBy::Id(id), ..Self::plain(name, key) }
    }

    const fn without_owner(self) -> Self {
        Self { zero: &["owner"], ..self }
    }
}

/// Builds a table of the configuration, which is the same in both databases.
const fn configured(name: &'static str, key: &'static [&'static str], columns: &'static [Column]) -> Table {
    let (sqlite, postgres) = (Form::plain(name, key), Form::plain(name, key));
    Table { name, columns, by_day: false, newest_of: &[], sqlite, postgres }
}

/// Builds a table of the messages' history: one file per day in SQLite, a range of ids in PostgreSQL.
const fn history(name: &'static str, key: &'static [&'static str], id: &'static str, columns: &'static [Column]) -> Table {
    let (sqlite, postgres) = (Form::plain(name, key), Form::by_id(name, key, id));
    Table { name, columns, by_day: true, newest_of: &[], sqlite, postgres }
}

const fn id(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Id }
}
const fn bytes(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Bytes }
}
const fn integer(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Integer }
}
const fn small(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Small }
}
const fn boolean(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Boolean }
}
const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Text }
}

/// Settings except for the transfer's own mark.
const SETTINGS: Form =
    Form { from: "(select name, value from settings where name <> 'transfer_from') kept", ..Form::plain("settings", &["name"]) };

/// Message counts of a day, summed over the nodes.
const COUNTS_ON_POSTGRES: Form = Form {
    from: "(select day, origin_id, sum(messages)::int8 as messages from message_counts group by day, origin_id) counted",
    day: DayBy::Number("day"),
    ..Form::plain("message_counts", &["origin_id"]).without_owner()
};

/// Delivery counts of a day, summed over the nodes.
const DELIVERY_COUNTS_ON_POSTGRES: Form = Form {
    from: "(select day, environment_id, sum(messages)::int8 as messages, sum(accepted)::int8 as accepted,
        sum(succeeded)::int8 as succeeded, sum(exhausted)::int8 as exhausted, sum(skipped)::int8 as skipped,
        sum(cancelled)::int8 as cancelled, sum(payload_bytes)::int8 as payload_bytes,
        sum(events)::int8 as events from delivery_counts group by day, environment_id) counted",
    day: DayBy::Number("day"),
    ..Form::plain("delivery_counts", &["environment_id"]).without_owner()
};

/// Operational events that wait to be published.
const OUTBOX: &[Column] = &[
    bytes("id"),
    text("event_type"),
    bytes("organization_id"),
    bytes("environment_id"),
    bytes("application_id"),
    bytes("endpoint_id"),
    integer("created_at"),
    text("data"),
];

/// Pending deliveries, unowned or in their backlog: owners are not transferred.
const PENDING: &str = "(select message_id, route_id, origin_id, due_at, attempts, failed, trigger_type, backlog, retry_at, backlog as owner
    from all_pending) waiting";

/// A message has at most one key and one event id, and PostgreSQL finds both by the message's id.
const MESSAGE_FIRST: [&[&str]; 2] = [&["message_id", "environment_id", "key"], &["message_id", "origin_id", "event_id"]];

/// All transferred tables. Not transferred: owners and nodes, which are processes; changes, which serve the caches of
/// nodes; the last backlog position, which is not before the transferred ones; and the progress of a job in a day's
/// file of SQLite, which matters only if the process ended at that moment. Deliveries of packed rows arrive in rows of
/// their own.
pub(crate) static TABLES: &[Table] = &[
    configured("organizations", &["id"], organizations::COLUMNS),
    configured("environments", &["id"], environments::COLUMNS),
    configured("api_keys", &["id"], api_keys::COLUMNS),
    configured("applications", &["id"], applications::COLUMNS),
    configured("endpoints", &["id"], endpoints::COLUMNS),
    configured("event_types", &["id"], event_types::COLUMNS),
    configured("views", &["id"], views::COLUMNS),
    configured("alert_rules", &["id"], alert_rules::COLUMNS),
    configured("alerts", &["id"], alerts::COLUMNS),
    configured(
        "users",
        &["id"],
        &[
            bytes("id"),
            text("email"),
            text("name"),
            text("password_hash"),
            text("totp_secret"),
            integer("totp_confirmed_at"),
            integer("totp_last_step"),
            text("recovery_codes"),
            integer("email_verified_at"),
            integer("created_at"),
            integer("updated_at"),
        ],
    ),
    configured("identities", &["provider", "subject"], &[text("provider"), text("subject"), bytes("user_id"), integer("created_at")]),
    configured(
        "members",
        &["organization_id", "user_id"],
        &[bytes("organization_id"), bytes("user_id"), text("role"), integer("created_at")],
    ),
    configured(
        "invitations",
        &["id"],
        &[
            bytes("id"),
            bytes("organization_id"),
            text("email"),
            text("role"),
            bytes("hash"),
            text("invited_by"),
            integer("sent_at"),
            integer("created_at"),
            integer("expires_at"),
        ],
    ),
    configured(
        "sessions",
        &["id"],
        &[
            bytes("id"),
            bytes("hash"),
            bytes("previous_hash"),
            integer("previous_until"),
            bytes("user_id"),
            bytes("organization_id"),
            bytes("environment_id"),
            text("method"),
            text("address"),
            text("user_agent"),
            integer("created_at"),
            integer("renewed_at"),
            integer("last_seen_at"),
            integer("expires_at"),
        ],
    ),
    configured("links", &["hash"], &[bytes("hash"), text("kind"), bytes("user_id"), integer("created_at"), integer("expires_at")]),
    configured(
        "device_codes",
        &["hash"],
        &[
            bytes("hash"),
            text("user_code"),
            text("name"),
            text("address"),
            bytes("user_id"),
            bytes("organization_id"),
            bytes("environment_id"),
            integer("denied"),
            integer("created_at"),
            integer("expires_at"),
            integer("last_asked_at"),
        ],
    ),
    configured("sign_in_failures", &["subject"], &[bytes("subject"), integer("failures"), integer("last_at")]),
    Table {
        name: "jobs",
        columns: jobs::COLUMNS,
        by_day: false,
        newest_of: &[],
        sqlite: Form::plain("jobs", &["id"]).without_owner(),
        postgres: Form::plain("jobs", &["id"]).without_owner(),
    },
    configured(
        "idempotency_keys",
        &["environment_id", "key"],
        &[bytes("environment_id"), text("key"), bytes("fingerprint"), integer("status"), text("body"), integer("created_at")],
    ),
    configured(
        "audit_log",
        &["id"],
        &[
            bytes("id"),
            bytes("organization_id"),
            bytes("environment_id"),
            text("actor_kind"),
            bytes("actor_id"),
            text("actor_name"),
            text("address"),
            text("request_id"),
            text("action"),
            text("resource_type"),
            bytes("resource_id"),
            text("before"),
            text("after"),
            bytes("application_id"),
            bytes("endpoint_id"),
        ],
    ),
    configured(
        "event_counts",
        &["environment_id", "day"],
        &[bytes("environment_id"), integer("day"), bytes("organization_id"), integer("events")],
    ),
    configured(
        "metrics",
        &["environment_id", "scope_kind", "scope", "resolution", "starts_at"],
        &[
            bytes("environment_id"),
            integer("scope_kind"),
            bytes("scope"),
            integer("resolution"),
            integer("starts_at"),
            integer("messages"),
            integer("accepted"),
            integer("arrived"),
            integer("ended"),
            integer("succeeded"),
            integer("failed"),
            integer("retried"),
            integer("status_2xx"),
            integer("status_3xx"),
            integer("status_4xx"),
            integer("status_5xx"),
            integer("status_none"),
            integer("latency_00"),
            integer("latency_01"),
            integer("latency_02"),
            integer("latency_03"),
            integer("latency_04"),
            integer("latency_05"),
            integer("latency_06"),
            integer("latency_07"),
            integer("latency_08"),
            integer("latency_09"),
            integer("latency_10"),
            integer("latency_11"),
            integer("latency_12"),
            integer("latency_13"),
            integer("latency_14"),
            integer("latency_15"),
            integer("latency_16"),
            integer("latency_17"),
            integer("latency_18"),
            integer("latency_19"),
            integer("latency_20"),
            integer("latency_21"),
            integer("latency_22"),
            integer("latency_23"),
            integer("latency_24"),
            integer("latency_25"),
        ],
    ),
    configured(
        "metric_errors",
        &["environment_id", "scope_kind", "scope", "resolution", "starts_at", "error", "status"],
        &[
            bytes("environment_id"),
            integer("scope_kind"),
            bytes("scope"),
            integer("resolution"),
            integer("starts_at"),
            text("error"),
            integer("status"),
            integer("attempts"),
        ],
    ),
    configured("outbox", &["id", "event_type"], OUTBOX),
    configured(
        "notice_marks",
        &["environment_id", "name"],
        &[bytes("environment_id"), text("name"), integer("level"), integer("noted_at")],
    ),
    Table {
        name: "settings",
        columns: &[text("name"), text("value")],
        by_day: false,
        newest_of: &[],
        sqlite: SETTINGS,
        postgres: SETTINGS,
    },
    history(
        "messages",
        &["origin_id", "id"],
        "id",
        &[
            id("origin_id"),
            id("id"),
            id("environment_id"),
            text("event_type"),
            text("event_id"),
            small("deliveries"),
            small("hops"),
            text("channels"),
            text("trace_context"),
        ],
    ),
    history(
        "payloads",
        &["message_id"],
        "message_id",
        &[id("message_id"), id("environment_id"), boolean("is_text"), small("encoding"), small("size"), bytes("body")],
    ),
    history(
        "undelivered",
        &["message_id", "route_id"],
        "message_id",
        &[id("message_id"), id("route_id"), id("origin_id"), text("state"), text("reason"), small("attempts"), integer("ended_at")],
    ),
    history(
        "attempts",
        &["message_id", "id"],
        "message_id",
        &[
            id("message_id"),
            id("id"),
            id("route_id"),
            small("number"),
            text("trigger_type"),
            boolean("succeeded"),
            small("response_status"),
            integer("duration_ms"),
            integer("created_at"),
            bytes("waterfall"),
            text("error"),
            text("response_body"),
            text("response_headers"),
        ],
    ),
    Table {
        name: "pending",
        columns: &[
            id("message_id"),
            id("route_id"),
            id("origin_id"),
            integer("due_at"),
            small("attempts"),
            small("failed"),
            text("trigger_type"),
            integer("backlog"),
            integer("retry_at"),
            integer("owner"),
        ],
        by_day: true,
        newest_of: &[],
        sqlite: Form { from: PENDING, ..Form::plain("pending", &["message_id", "route_id"]) },
        postgres: Form { from: PENDING, ..Form::by_id("pending", &["message_id", "route_id"], "message_id") },
    },
    Table {
        name: "message_counts",
        columns: &[id("origin_id"), integer("messages")],
        by_day: true,
        newest_of: &[],
        sqlite: Form::plain("message_counts", &["origin_id"]),
        postgres: COUNTS_ON_POSTGRES,
    },
    Table {
        name: "delivery_counts",
        columns: &[
            id("environment_id"),
            integer("messages"),
            integer("accepted"),
            integer("succeeded"),
            integer("exhausted"),
            integer("skipped"),
            integer("cancelled"),
            integer("payload_bytes"),
            integer("events"),
        ],
        by_day: true,
        newest_of: &[],
        sqlite: Form::plain("delivery_counts", &["environment_id"]),
        postgres: DELIVERY_COUNTS_ON_POSTGRES,
    },
    Table {
        name: "day_outbox",
        columns: OUTBOX,
        by_day: true,
        newest_of: &[],
        sqlite: Form::plain("day_outbox", &["id", "event_type"]),
        postgres: Form { day: DayBy::Number("day"), ..Form::plain("day_outbox", &["id", "event_type"]) },
    },
    Table {
        name: "message_keys",
        columns: &[id("environment_id"), text("key"), bytes("fingerprint"), id("origin_id"), id("message_id"), text("first_status")],
        by_day: true,
        newest_of: &["environment_id", "key"],
        sqlite: Form::plain("idempotency_keys", &["environment_id", "key"]),
        postgres: Form::by_id("message_keys", MESSAGE_FIRST[0], "message_id"),
    },
    Table {
        name: "event_ids",
        columns: &[id("origin_id"), text("event_id"), id("message_id")],
        by_day: true,
        newest_of: &["origin_id", "event_id"],
        sqlite: Form::plain("event_ids", &["origin_id", "event_id"]),
        postgres: Form::by_id("event_ids", MESSAGE_FIRST[1], "message_id"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_columns_of_their_table() {
        for table in TABLES {
            for names in [table.sqlite.key, table.postgres.key, table.newest_of] {
                assert_eq!(table.positions(names).len(), names.len(), "{}: {names:?}", table.name);
            }
        }
    }
}
