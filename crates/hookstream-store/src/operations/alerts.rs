//! Alerts that rules raised.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{AlertId, AlertRuleId, ApplicationId, EndpointId},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    operations::{
        alerts::{
            alert::{Alert, Subject},
            decision::{ALERTS_MAX, Decision},
        },
        problems::Severity,
    },
};

use crate::{
    db::{
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        resource::{
            fields::resource_fields,
            table::{Column, Description, Table},
        },
        statement::{Columns, Database, Row, Statement},
    },
    outbound::applications::read_tenant,
};

resource_fields!(Alert, |alert, columns| {
    fixed id: AlertId;
    fixed tenant = [
        "organization_id" Bytes = alert.tenant.organization.as_bytes(),
        "environment_id" Bytes = alert.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    fixed rule_id: AlertRuleId;
    fixed subject = [
        "subject_key" Text = alert.subject.key.as_str(),
        "subject_name" Text = alert.subject.name.as_str(),
        "application_id" Bytes = alert.subject.application_id.as_ref().map(ApplicationId::as_bytes),
        "endpoint_id" Bytes = alert.subject.endpoint_id.as_ref().map(EndpointId::as_bytes),
    ] read read_subject(columns)?;
    fixed severity: Severity;
    fixed summary: String;
    fixed fired_at: Timestamp;
    changing told_at: Option<Timestamp>;
    changing resolved_at: Option<Timestamp>;
    changing is_closed: bool;
});

const DESCRIPTION: Description<Alert> = Description { name: "alerts", key: &["environment_id", "id"], fields: FIELDS, extra: &[] };
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<Alert> = Table::new(DESCRIPTION);

/// Selects the alerts of a rule that are not closed: at most the unresolved ones and as many resolved ones whose end was not told yet.
static OPEN: LazyLock<String> =
    LazyLock::new(|| TABLE.select("", "environment_id = $1 and rule_id = $2 and is_closed = 0 order by id limit $3"));
static LIST: LazyLock<String> =
    LazyLock::new(|| TABLE.select("", "environment_id = $1 and id < $2 and ($3 = 0 or resolved_at is null) order by id desc limit $4"));
static LIST_OF_RULE: LazyLock<String> = LazyLock::new(|| {
    TABLE.select("", "environment_id = $1 and id < $2 and ($3 = 0 or resolved_at is null) and rule_id = $5 order by id desc limit $4")
});
const CHANGE: &str = "update alerts set told_at = $3, resolved_at = $4, is_closed = $5 where environment_id = $1 and id = $2";
const DELETE_OF_RULE: &str = "delete from alerts where rule_id = $1";
const EXPIRE: &str = "delete from alerts where id in (select a.id from alerts a where a.is_closed = 1 and a.resolved_at < $1 limit $2)";

/// Returns the alerts of a rule that are not closed.
///
/// # Errors
/// Fails if the store fails.
pub async fn open_of_rule(db: &dyn Database, tenant: Tenant, rule: AlertRuleId) -> Result<Vec<Alert>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), rule.as_bytes().into(), sql_limit(2 * ALERTS_MAX).into()];
    read_all(db.read(Statement::new(&OPEN, values)).await?)
}

/// Returns a page of an environment's alerts, newest first: all, or those that last; of all rules, or of one.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(
    db: &dyn Database,
    tenant: Tenant,
    rule: Option<AlertRuleId>,
    only_firing: bool,
    page: PageRequest<AlertId>,
) -> Result<Page<Alert>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let mut values =
        vec![tenant.environment.as_bytes().into(), (&after).into(), i64::from(only_firing).into(), sql_limit(page.limit + 1).into()];
    let sql: &'static str = if let Some(rule) = &rule {
        values.push(rule.as_bytes().into());
        &LIST_OF_RULE
    } else {
        &LIST
    };
    Ok(Page::from_overlong(read_all(db.read(Statement::new(sql, values)).await?)?, page.limit))
}

/// Deletes closed alerts that were resolved before a time, as a slice that delays no other operation.
///
/// # Errors
/// Fails if the store fails.
pub async fn expire(db: &dyn Database, before: Timestamp) -> Result<(), Error> {
    db.write("delete expired alerts", vec![Statement::new(EXPIRE, vec![before.into(), sql_limit(1_000).into()])]).await?;
    Ok(())
}

/// Returns the statements that store what was decided.
pub(super) fn statements(decision: &Decision) -> Vec<Statement> {
    let change = |alert: &Alert| {
        let values = vec![
            alert.tenant.environment.as_bytes().into(),
            alert.id.as_bytes().into(),
            alert.told_at.into(),
            alert.resolved_at.into(),
            i64::from(alert.is_closed).into(),
        ];
        Statement::new(CHANGE, values)
    };
    decision.changed.iter().map(change).chain(decision.opened.iter().map(|alert| TABLE.insert(alert, []))).collect()
}

/// Returns the statement that deletes the alerts of a rule.
pub(super) fn delete_of_rule(rule: AlertRuleId) -> Statement {
    Statement::new(DELETE_OF_RULE, vec![rule.as_bytes().into()])
}

fn read_all(rows: Vec<Row>) -> Result<Vec<Alert>, Error> {
    rows.into_iter().map(|row| read_fields(&mut row.columns())).collect()
}

fn read_subject(columns: &mut Columns) -> Result<Subject, Error> {
    Ok(Subject {
        key: columns.text("subject_key")?,
        name: columns.text("subject_name")?,
        application_id: columns.stored("application_id")?,
        endpoint_id: columns.stored("endpoint_id")?,
    })
}
