//! Alerts: rules that watch the numbers of an environment, the alerts that they raise, and the notifications that tell of them.
//!
//! A [`rule`] has a [`condition`](condition::Condition). Facts that meet it are [`breaches`](condition::Breach), each about
//! one subject. [`decide`](decision::decide) compares them with the alerts that are open: it opens and resolves alerts, and
//! gathers what is to be told in one [`notification`] a rule. A notification knows no service; each kind of notification
//! channel renders it in the form of its service.

pub mod alert;
pub mod condition;
pub mod decision;
pub mod notification;
pub mod quiet_hours;
pub mod rule;
