//! Conformance suite, which is the same for every store. A new database joins with a constructor of its fixture.

mod backlogs;
mod conservation;
mod deliveries;
mod expiry;
mod messages;
mod migration;
mod operations;
mod packed;
mod people;
mod portal_keys;
mod resources;
mod support;
mod text_index;
mod transfer;
mod vault;

use operations::{alerts, audit_log, jobs, metrics, outbox, quotas, views};

/// Generates one test per database and behaviour. After each test the counts must equal the rows.
macro_rules! suite {
    ($($module:ident: $($name:ident)*;)*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let world = crate::support::Fixture::on_sqlite().await;
                    crate::$module::$name(&world).await;
                    crate::conservation::check_balances(&world).await;
                })*
            })*
        }

        // The store of simulations must behave like the others.
        #[cfg(feature = "in-memory")]
        mod sqlite_in_memory {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let world = crate::support::Fixture::in_memory().await;
                    crate::$module::$name(&world).await;
                    crate::conservation::check_balances(&world).await;
                })*
            })*
        }

        mod postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let world = crate::support::Fixture::on_postgres().await;
                    crate::$module::$name(&world).await;
                    crate::conservation::check_balances(&world).await;
                    world.end().await;
                })*
            })*
        }
    };
}

suite! {
    metrics:
        amounts_add_up
        subjects_resolutions_and_tenants_are_apart
        many_rows_are_added_in_parts
        routes_are_summed_over_days
        errors_are_counted_apart
        expired_steps_are_removed_one_by_one;
    messages:
        published_message_reads_back_unchanged
        long_payload_reads_back_unchanged
        messages_are_listed_newest_first_over_all_days
        pages_are_complete_while_messages_are_added
        messages_are_listed_by_event_type
        concurrent_publications_are_all_stored
        other_tenant_sees_nothing
        stale_version_is_not_stored
        idempotency_key_repeats_its_first_message
        idempotency_key_is_free_after_its_window
        event_id_is_unique_per_application_within_its_window
        messages_are_counted_per_application
        day_with_pending_deliveries_is_not_dropped;
    deliveries:
        claim_takes_unowned_deliveries_oldest_due_first
        owned_delivery_is_not_claimed
        claim_keeps_its_limits
        claimed_message_has_its_trace_context
        new_owner_claims_deliveries_of_retired_owner
        former_number_keeps_its_deliveries
        stale_owner_settles_nothing
        repeated_settlement_changes_nothing
        success_is_recorded_with_its_attempt
        attempt_keeps_its_waterfall
        retry_is_due_later_and_counts_failures
        postponement_counts_no_attempt
        unsuccessful_delivery_keeps_its_reason
        failed_messages_are_found_behind_many_others
        message_can_be_requeued
        manual_retry_does_not_duplicate_owned_delivery
        pending_deliveries_can_be_set_aside;
    packed:
        settled_delivery_leaves_the_rest_of_its_row_pending
        every_result_of_a_packed_delivery_is_kept
        message_to_many_targets_uses_several_rows
        unsettled_deliveries_of_a_lost_owner_are_claimed_once
        parallel_settlements_of_a_row_all_count
        packed_delivery_keeps_its_payload_and_is_not_requeued
        message_may_have_packed_and_waiting_deliveries
        single_owned_delivery_has_a_row_of_its_own;
    jobs:
        job_keeps_all_fields_and_is_visible_to_its_tenant_only
        same_job_runs_once_at_a_time
        survey_returns_delivery_states
        recovery_requeues_only_selected_failures
        replay_requeues_delivered_and_missing
        slice_is_requeued_once
        cancelled_job_requeues_nothing
        job_of_retired_owner_is_taken_over
        new_number_takes_over_jobs_of_former_number
        full_node_takes_no_more_jobs;
    expiry:
        expired_payloads_are_removed_and_messages_stay
        day_with_pending_deliveries_keeps_its_payloads
        requeued_delivery_has_its_payload
        job_skips_messages_without_payload
        expiry_releases_disk_space
        day_without_payloads_is_dropped_and_recreated
        payload_removal_takes_oldest_and_keeps_pending
        message_removal_deletes_all_related_rows;
    conservation:
        every_transition_is_counted
        concurrent_operations_are_counted
        stored_payload_bytes_are_counted
        tenants_are_counted_separately
        day_is_dropped_with_its_counts
        stale_settlement_counts_nothing;
    backlogs:
        backlog_delivery_is_claimed_from_its_backlog_only
        backlogs_are_listed_with_their_heads
        delivery_that_keeps_its_position_blocks_later_ones
        returned_delivery_regains_its_position
        manual_retry_keeps_the_order
        retry_in_unordered_backlog_waits_for_its_due_time
        backlog_claim_is_bounded_in_bytes
        positions_follow_the_order_of_storing
        orphaned_delivery_blocks_ordered_claims
        shards_are_exclusive_and_shared_between_nodes;
    resources:
        application_is_stored_found_changed_and_deleted
        application_uid_is_unique_per_environment
        applications_are_searched_by_name_and_uid
        pages_of_applications_are_complete_while_more_are_added
        pages_of_endpoints_and_event_types_are_complete_while_more_are_added
        response_is_stored_with_its_change
        concurrent_changes_are_both_kept
        endpoint_keeps_all_fields
        endpoints_of_an_environment_are_listed_with_filters
        endpoint_rotates_its_secret
        endpoint_uid_is_unique_per_application
        endpoints_changed_since_a_version_are_found
        endpoint_is_disabled_once
        endpoint_hold_is_recorded_and_released
        deleting_an_application_deletes_its_endpoints
        event_type_is_stored_changed_and_deleted
        api_key_is_found_by_its_hash
        default_organization_is_created_once
        setting_is_created_once
        environment_is_found_and_changed_by_its_organization;
    portal_keys:
        newest_key_signs_and_replaced_key_is_valid_for_an_hour
        manual_rotation_can_end_former_keys_at_once;
    views:
        view_is_stored_changed_and_deleted
        views_are_listed_for_their_user
        name_is_unique_among_own_and_among_shared_views
        limit_is_exact_under_concurrent_creation
        changes_of_shared_views_are_audited
        own_views_end_with_the_membership_and_all_with_the_environment;
    alerts:
        rule_is_stored_changed_and_deleted
        number_of_rules_is_exact_under_concurrent_creation
        evaluation_commits_alerts_with_their_events_once
        rules_that_are_evaluated_are_the_enabled_ones_and_those_with_open_alerts;
    outbox:
        nothing_is_written_where_no_one_is_told
        system_environment_is_hidden_and_goes_with_its_environment
        changes_of_an_endpoint_write_their_events
        circuit_tells_of_its_changes_only
        warning_is_given_once_for_each_level_until_the_endpoint_recovers
        event_of_a_delivery_is_written_with_its_settlement
        ended_job_is_told_once;
    quotas:
        quota_is_exact_under_concurrent_creation
        organization_quotas_are_stored_and_audited
        environment_restore_respects_quotas
        event_counts_survive_removals
        idempotency_key_is_found_without_storing;
    audit_log:
        change_leaves_one_entry_with_before_and_after
        organization_changes_are_audited
        user_changes_are_audited_in_each_of_their_organizations
        ineffective_change_leaves_no_entry
        entries_are_found_by_reach_and_filter
        activity_is_that_of_an_application_with_its_jobs_and_deleted_endpoints
        entries_are_paged_from_both_ends
        entries_contain_no_secrets
        old_entries_are_deleted_in_slices
        installation_entry_is_stored_in_each_organization;
    people:
        account_keeps_its_credentials
        failures_are_counted_and_reset
        identity_belongs_to_one_user_and_last_sign_in_method_stays
        only_mailed_link_verifies_an_address
        session_is_found_renewed_and_ended
        organization_keeps_an_owner
        invitation_is_accepted_once
        link_is_valid_once
        device_code_is_redeemed_once
        environment_is_deleted_restored_and_removed;
}
