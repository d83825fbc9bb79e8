//! Alert rules. Their number is limited in the creating transaction: lock the environment's row, insert, count.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{AlertRuleId, ApplicationId, EndpointId},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    operations::{
        alerts::{
            condition::{Condition, RuleType},
            decision::Decision,
            rule::{AlertRule, RULES_MAX},
        },
        audit_log::{Action, AuditContext, Change},
        operational_event::OperationalEvent,
    },
};

use super::alerts;
use crate::{
    db::{
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        resource::{
            fields::resource_fields,
            optimistic::{self, Updatable, Updated, Versioned},
            table::{Column, Description, ExtraColumn, Source, Table},
        },
        sealed_write,
        statement::{Columns, Database, Row, Statement, Written},
    },
    operations::audit_log,
    outbound::{
        applications::{Created, read_tenant},
        idempotency::{self, NewResponse},
    },
};

resource_fields!(AlertRule, |rule, columns| {
    fixed id: AlertRuleId;
    fixed tenant = [
        "organization_id" Bytes = rule.tenant.organization.as_bytes(),
        "environment_id" Bytes = rule.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    changing name: String;
    changing description: Option<String>;
    changing enabled: bool;
    changing condition = [
        "rule_type" Text = rule.condition.kind().as_str(),
        "rule_config" Text = serde_json::Value::Object(rule.condition.to_json()).to_string(),
    ] read read_condition(columns)?;
    changing application_id: Option<ApplicationId>;
    changing endpoint_id: Option<EndpointId>;
    changing channel_ids: Vec<EndpointId>;
    changing cooldown_minutes: u32;
    // Written by evaluations, not by updates.
    fixed last_triggered_at: Option<Timestamp>;
    fixed trigger_count: u64;
    fixed created_at: Timestamp;
    changing updated_at: Timestamp;
});

const DESCRIPTION: Description<AlertRule> = Description {
    name: "alert_rules",
    key: &["environment_id", "id"],
    fields: FIELDS,
    extra: &[ExtraColumn::version(Source::Sql("version + 1"))],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<AlertRule> = Table::new(DESCRIPTION);

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id = $2"));
static LIST: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id < $2 order by id desc limit $3"));
/// Selects the rules of all tenants that are to be evaluated: the enabled ones, and others whose alerts are not closed.
static LIST_ACTIVE: LazyLock<String> = LazyLock::new(|| {
    TABLE.select(
        "version",
        "(enabled = 1 or exists (select 1 from alerts a where a.rule_id = alert_rules.id and a.is_closed = 0))
        and exists (select 1 from environments e where e.id = alert_rules.environment_id and e.deleted_at is null)
        and id > $1 order by id limit $2",
    )
});
/// Serializes additions to an environment's rules, so that the second of two counts the first.
const QUEUE: &str = "update environments set name = name where organization_id = $1 and id = $2";
const CHECK: &str = "select cast(1 as bigint) where (select count(*) from alert_rules r where r.environment_id = $1) <= $2";
const EXISTS: &str = "select cast(1 as bigint) from alert_rules r where r.environment_id = $1 and r.id = $2";
const TRIGGERED: &str =
    "update alert_rules set last_triggered_at = $3, trigger_count = trigger_count + 1 where environment_id = $1 and id = $2";

/// Stores a rule, unless the environment has [`RULES_MAX`] rules.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, context: &AuditContext, rule: &AlertRule, response: Option<NewResponse>) -> Result<Created, Error> {
    let stored = response.map(|response| idempotency::store_statements(db, rule.tenant, response)).transpose()?;
    let mut statements: Vec<Statement> = stored.into_iter().flatten().collect();
    let Tenant { organization, environment } = rule.tenant;
    statements.push(Statement::new(QUEUE, vec![organization.as_bytes().into(), environment.as_bytes().into()]));
    statements.push(TABLE.insert(rule, []));
    statements.push(entry(rule.tenant, rule.id, context, Action::AlertRuleCreate, &Change::created(rule)));
    let most = i64::try_from(RULES_MAX).unwrap_or(i64::MAX);
    let check_at = statements.len();
    statements.push(Statement::new(CHECK, vec![environment.as_bytes().into(), most.into()]).required());
    Ok(match sealed_write::write(db, "store an alert rule", statements).await? {
        Written::Committed(_) => Created::Stored,
        Written::Unmet(index) if index == check_at => Created::TooManyAlertRules,
        Written::Unmet(_) => Created::KeyTaken,
    })
}

/// Returns the rule with this id.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: AlertRuleId) -> Result<Option<AlertRule>, Error> {
    Ok(AlertRule::find_versioned(db, (tenant, id)).await?.map(|(rule, _)| rule))
}

/// Returns a page of an environment's rules, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, tenant: Tenant, page: PageRequest<AlertRuleId>) -> Result<Page<AlertRule>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values = vec![tenant.environment.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(&LIST, values)).await?;
    let rules = rows.into_iter().map(|row| read(row).map(|(rule, _)| rule)).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(rules, page.limit))
}

/// Returns rules of all tenants that are to be evaluated, by id, at most `limit` after the given one. Only for the evaluating task; never
/// for a response to a tenant.
///
/// # Errors
/// Fails if the store fails.
pub async fn active(db: &dyn Database, after: AlertRuleId, limit: usize) -> Result<Vec<AlertRule>, Error> {
    let rows = db.read(Statement::new(&LIST_ACTIVE, vec![after.as_bytes().into(), sql_limit(limit).into()])).await?;
    rows.into_iter().map(|row| read(row).map(|(rule, _)| rule)).collect()
}

/// Changes a rule with `change`, which may refuse. Returns `None` if there is no such rule.
///
/// # Errors
/// Fails if the store fails, or with the error of `change`.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    id: AlertRuleId,
    change: impl Fn(&mut AlertRule) -> Result<(), E>,
) -> Result<Option<AlertRule>, E> {
    match optimistic::update_audited(db, context, (tenant, id), change).await? {
        Updated::Done(rule) => Ok(Some(rule)),
        Updated::NotFound => Ok(None),
        Updated::Conflict(error) => Err(error.into()),
    }
}

/// Deletes a rule with its alerts. `last` returns the events that tell of the end of its alerts. Returns whether the rule existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    id: AlertRuleId,
    last: impl Fn(&AlertRule) -> Vec<OperationalEvent>,
) -> Result<bool, Error> {
    let deletion = ("delete an alert rule", Action::AlertRuleDelete);
    optimistic::delete_audited(db, context, deletion, (tenant, id), |before: &AlertRule, version| {
        let mut statements = vec![TABLE.delete(before, version).required(), alerts::delete_of_rule(id)];
        statements.extend(last(before).iter().map(crate::delivery::outbox::event));
        statements
    })
    .await
}

/// Stores the result of an evaluation, with the events that tell of it, in one commit.
///
/// # Errors
/// Fails if the store fails, or with [`Error::Conflict`] if another process has evaluated the rule meanwhile; nothing is stored then.
pub async fn record(
    db: &dyn Database,
    rule: &AlertRule,
    decision: &Decision,
    events: &[OperationalEvent],
    now: Timestamp,
) -> Result<(), Error> {
    let mut statements = alerts::statements(decision);
    let key = [rule.tenant.environment.as_bytes().into(), rule.id.as_bytes().into()];
    // A rule that was deleted meanwhile has no alerts.
    statements.push(if decision.triggers() {
        Statement::new(TRIGGERED, key.into_iter().chain([now.into()]).collect()).required()
    } else {
        Statement::new(EXISTS, key.into()).required()
    });
    statements.extend(events.iter().map(crate::delivery::outbox::event));
    db.write("store alerts", statements).await?;
    Ok(())
}

impl Versioned for AlertRule {
    type Key = (Tenant, AlertRuleId);

    async fn find_versioned(db: &dyn Database, (tenant, id): Self::Key) -> Result<Option<(Self, i64)>, Error> {
        let rows = db.read(Statement::new(&FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
        rows.into_iter().next().map(read).transpose()
    }

    fn entry((tenant, id): Self::Key, context: &AuditContext, action: Action, change: &Change) -> Statement {
        entry(tenant, id, context, action, change)
    }
}

impl Updatable for AlertRule {
    const OPERATION: &'static str = "update an alert rule";
    const ACTION: Action = Action::AlertRuleUpdate;

    fn update(&self, _: &dyn Database, _: Self::Key, version: i64) -> Result<Vec<Statement>, Error> {
        Ok(vec![TABLE.update(self, version, []).required()])
    }
}

fn entry(tenant: Tenant, id: AlertRuleId, context: &AuditContext, action: Action, change: &Change) -> Statement {
    audit_log::entry(tenant, context, action, id.as_bytes(), change)
}

fn read(row: Row) -> Result<(AlertRule, i64), Error> {
    let mut columns = row.columns();
    Ok((read_fields(&mut columns)?, columns.integer("version")?))
}

fn read_condition(columns: &mut Columns) -> Result<Condition, Error> {
    let (kind, config) = (columns.text("rule_type")?, columns.text("rule_config")?);
    let read = || Condition::read(RuleType::parse(&kind).ok()?, &serde_json::from_str(&config).ok()?).ok();
    read().ok_or(Error::Unreadable { what: "rule_config" })
}
