//! What every store must do. A database joins by opening itself here; the suite is the same for all.

mod audit_log;
mod backlogs;
mod conservation;
mod deliveries;
mod expiry;
mod installation;
mod jobs;
mod messages;
mod migration;
mod people;
mod portal_keys;
mod quotas;
mod resources;
mod transfer;
mod vault;
mod world;

/// One test a database and behaviour. Whatever it did, the counts are what the rows say.
macro_rules! suite {
    ($($module:ident: $($name:ident)*;)*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let world = crate::world::Fixture::on_sqlite().await;
                    crate::$module::$name(&world).await;
                    crate::conservation::check_balances(&world).await;
                })*
            })*
        }

        // What a simulation works with has to be a store like the others.
        #[cfg(feature = "in-memory")]
        mod sqlite_in_memory {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let world = crate::world::Fixture::in_memory().await;
                    crate::$module::$name(&world).await;
                    crate::conservation::check_balances(&world).await;
                })*
            })*
        }

        mod postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let world = crate::world::Fixture::on_postgres().await;
                    crate::$module::$name(&world).await;
                    crate::conservation::check_balances(&world).await;
                    world.end().await;
                })*
            })*
        }
    };
}

suite! {
    messages:
        a_message_reads_back_as_it_was_published
        a_long_payload_comes_back_however_it_is_read
        messages_are_listed_newest_first_over_all_days
        a_page_never_skips_or_repeats_while_messages_are_added
        a_list_can_be_of_one_event_type
        what_waits_for_one_commit_is_all_there
        another_tenant_sees_nothing
        what_was_decided_by_an_older_version_is_not_stored
        an_idempotency_key_stands_for_its_first_message
        an_idempotency_key_is_free_again_after_its_window
        an_event_id_is_unique_per_application_within_its_window
        messages_are_counted_per_application
        a_day_is_dropped_whole_unless_something_is_owed;
    deliveries:
        what_nobody_owns_is_claimed_once_in_the_order_it_is_due
        what_was_published_as_owned_is_not_claimed
        a_claim_keeps_its_limits
        a_new_owner_finds_what_a_retired_one_had
        what_stands_under_the_number_before_stays_there
        a_stale_owner_settles_nothing
        a_batch_that_was_settled_unheard_changes_nothing_when_it_is_settled_again
        a_success_is_recorded_with_its_attempt
        an_attempt_is_kept_with_how_long_its_parts_took
        a_retry_is_due_later_and_counts_its_failures
        a_postponement_counts_no_try
        a_delivery_that_ends_otherwise_says_why
        a_message_can_be_made_owed_again
        a_delivery_under_way_is_not_doubled_by_a_retry
        what_is_owed_can_be_set_aside;
    jobs:
        a_job_is_kept_with_all_its_fields_and_is_its_tenants_alone
        the_same_job_runs_once_at_a_time
        a_survey_tells_where_deliveries_stand
        a_recovery_takes_what_was_meant_and_no_more
        a_replay_sends_again_what_arrived_and_what_was_never_meant
        a_slice_is_made_owed_once
        a_cancelled_job_makes_nothing_owed
        a_job_is_taken_over_from_an_owner_that_is_gone
        a_new_number_takes_over_the_jobs_of_the_one_before
        a_full_node_takes_no_more_jobs;
    expiry:
        payloads_go_and_messages_stay
        a_day_of_which_something_is_owed_keeps_its_payloads
        nothing_is_owed_again_without_its_payload
        a_job_passes_over_what_has_no_payload
        what_payloads_took_is_given_back
        a_day_without_payloads_is_dropped_and_made_like_any
        an_environment_loses_its_oldest_payloads_and_none_that_is_owed
        an_environments_old_messages_go_with_all_that_is_known_of_them;
    conservation:
        every_transition_is_counted
        what_happens_at_once_is_counted
        bytes_are_counted_as_they_stand
        two_tenants_are_counted_apart
        a_day_is_dropped_with_its_counts
        a_stale_settlement_counts_nothing;
    backlogs:
        what_waits_in_a_line_is_taken_from_it_only
        lines_are_found_by_their_first
        what_keeps_its_place_blocks_what_is_behind_it
        what_is_given_back_to_a_line_has_its_place_again
        a_retry_by_hand_keeps_the_order
        a_retry_in_a_line_without_order_is_due_then
        a_claim_from_lines_is_bounded_in_bytes
        places_are_given_in_the_order_of_storing
        nothing_is_taken_in_order_while_something_is_nobodys
        groups_are_one_nodes_each_and_are_shared_out;
    resources:
        an_application_is_kept_found_changed_and_deleted
        a_uid_is_unique_per_environment
        applications_are_searched_by_name_and_uid
        pages_of_applications_are_complete_while_more_are_added
        pages_of_endpoints_and_event_types_are_complete_while_more_are_added
        an_answer_is_kept_with_what_it_answered
        two_changes_at_once_both_count
        an_endpoint_is_kept_with_all_its_fields
        an_endpoint_rotates_its_secret
        an_endpoints_uid_is_unique_in_its_application
        what_changed_since_a_version_is_found
        an_endpoint_is_disabled_once
        an_endpoint_is_held_and_let_go
        deleting_an_application_deletes_its_endpoints
        an_event_type_is_kept_changed_and_deleted
        an_api_key_is_found_by_its_hash
        the_default_organization_is_made_once
        a_setting_is_made_once
        an_environment_is_found_and_changed_by_its_organization;
    portal_keys:
        the_newest_signs_and_the_one_before_it_is_good_for_an_hour
        a_key_is_replaced_by_hand_and_ends_at_once_where_that_is_asked;
    quotas:
        a_quota_is_exact_however_many_are_made_at_once
        what_is_decided_about_an_organization_is_found_and_told
        an_environment_is_restored_where_there_is_room
        events_stay_counted_whatever_goes
        a_key_is_looked_up_without_a_message;
    audit_log:
        every_change_leaves_one_entry_with_what_it_was
        what_is_done_about_an_organization_is_told_to_it
        what_somebody_does_about_themselves_is_told_to_each_of_their_organizations
        what_changes_nothing_leaves_no_entry
        entries_are_found_by_whose_they_are_and_by_each_filter
        entries_are_paged_from_either_end
        no_secret_is_in_any_entry
        old_entries_go_a_slice_at_a_time
        what_concerns_the_installation_is_told_to_each_organization;
    people:
        an_account_is_kept_with_what_it_proves_itself_with
        failures_are_counted_and_forgotten
        an_identity_is_one_persons_and_leaves_a_way_in
        only_what_was_sent_proves_an_address
        a_session_is_found_renewed_and_ended
        an_organization_keeps_an_owner
        an_invitation_is_taken_once
        a_link_is_good_once
        a_device_code_is_redeemed_once
        an_environment_is_deleted_restored_and_removed;
}
