//! The contract test suite, which every adapter must pass.
//!
//! A case panics if the adapter violates the contract. Each case receives a storage that contains none of the entities
//! that the case creates. Every case uses its own companies, URLs, keys, codes and names. Therefore, all cases can run
//! on one storage, one after another. While a case runs, no other process may write to the storage.
//!
//! ```text
//! iam_storage::contract_tests!(my_adapter::fresh_storage().await);
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test suite"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Storage;

mod concurrency;
mod effective_rows;
mod fixtures;
mod outcomes;
mod sets;

/// A test case is an async function that takes a fixture as its argument.
pub type Case<T = Arc<dyn Storage>> = fn(T) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The fixture of a test case. The fixture owns everything that must exist until the case ends, such as a temporary
/// database.
pub trait Fresh {
    /// Returns the storage that the case tests.
    fn storage(&self) -> Arc<dyn Storage>;
}

impl<S: Storage> Fresh for Arc<S> {
    fn storage(&self) -> Arc<dyn Storage> {
        Self::clone(self)
    }
}

impl Fresh for Arc<dyn Storage> {
    fn storage(&self) -> Arc<dyn Storage> {
        Self::clone(self)
    }
}

macro_rules! cases {
    (($d:tt) $tests:ident, $cases:ident of $on:ty: $fresh:ident::$given:ident;
        $($module:ident: $($case:ident),+;)+) => {
        $(mod $module;)+
        $(pub use $module::{$($case),+};)+

        /// Returns all cases of this suite with their names.
        #[must_use]
        pub fn $cases() -> Vec<(&'static str, Case<$on>)> {
            vec![$($((stringify!($case), |given| Box::pin($case(given)))),+),+]
        }

        /// Defines one test for each case of the [suite](mod@crate::contract). The argument is an expression that
        /// creates the fixture of a case. It may `.await`, and its value
        #[doc = concat!("implements [`", stringify!($fresh), "`](crate::contract::", stringify!($fresh), ").")]
        #[macro_export]
        macro_rules! $tests {
            ($d fresh:expr) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let fresh = $d fresh;
                        $d crate::contract::$case($d crate::contract::$fresh::$given(&fresh)).await;
                        drop(fresh);
                    }
                )+)+
            };
        }
    };
}

cases! { ($) contract_tests, cases of Arc<dyn Storage>: Fresh::storage;
    periods:
        only_assignments_in_effect_grant_permissions,
        copies_contain_the_periods_of_assignments,
        assignments_are_listed_with_their_periods,
        edits_change_periods,
        replaced_levels_keep_their_periods,
        holders_of_rights_hold_them_without_an_end,
        other_levels_count_with_and_without_those_that_end,
        expired_assignments_are_not_held,
        assignments_with_an_end_are_listed_in_pages,
        expired_assignments_are_removed;
    levels:
        a_level_is_read_as_created,
        an_unknown_level_is_not_found,
        an_update_of_a_level_keeps_the_creation_time,
        a_level_is_deleted,
        a_level_that_does_not_exist_cannot_be_changed,
        levels_are_ordered_by_name,
        a_level_name_is_unique_in_its_company,
        a_level_may_keep_its_name_and_a_deleted_name_can_be_reused,
        levels_can_swap_names_in_one_unit_of_work,
        a_level_id_is_unique,
        an_assigned_level_cannot_be_deleted,
        levels_of_two_companies_are_separate,
        level_names_of_two_companies_may_be_equal;
    catalog:
        catalog_entries_are_read_as_created,
        catalog_lookups_are_exact,
        updates_of_catalog_entries_keep_the_creation_time,
        catalog_entries_are_deleted,
        catalog_entries_that_do_not_exist_cannot_be_changed,
        catalog_keys_and_ids_are_unique,
        catalog_keys_can_be_reused,
        features_without_a_key_do_not_conflict,
        views_are_ordered_by_url,
        modules_are_ordered_by_name_then_id,
        features_are_ordered_by_key_and_features_without_a_key_come_last,
        custom_actions_are_stored_unchanged,
        deleting_a_view_deletes_its_permissions_and_mappings,
        deleting_a_feature_deletes_its_permissions_and_mappings,
        deleting_a_module_deletes_its_mappings,
        deleting_a_level_deletes_its_permissions,
        removing_an_action_deletes_its_permissions,
        entries_that_a_menu_uses_cannot_be_deleted,
        mapped_entries_are_read_completely;
    mappings:
        an_element_is_added_and_removed_once,
        the_error_for_an_unknown_element_or_owner_contains_its_id,
        an_unknown_owner_has_no_elements,
        mapped_views_are_ordered_by_url,
        mapped_features_are_ordered_by_key,
        mapped_modules_are_ordered_by_name_then_id,
        the_companies_of_a_module_are_ordered_by_id,
        a_module_is_disabled_and_enabled_for_one_company,
        a_module_that_the_company_keeps_retains_its_switch,
        setting_a_switch_to_its_current_value_is_no_change,
        modules_of_two_companies_are_separate;
    matrices:
        a_view_cell_is_read_as_written,
        a_feature_cell_is_read_as_written,
        pinned_cells_are_counted,
        an_overwritten_cell_keeps_its_id,
        each_action_has_a_separate_cell,
        a_cell_id_is_unique,
        view_cells_are_ordered_by_id,
        feature_cells_are_ordered_by_id_then_action,
        cells_of_another_company_are_not_found,
        cells_of_another_company_cannot_be_changed,
        a_replace_cannot_write_cells_of_another_company_or_level,
        deleting_a_view_preserves_the_cells_of_other_views;
    member_names:
        members_are_listed_by_name;
    members:
        members_are_listed_in_pages,
        a_listed_member_has_its_levels_and_its_external_id,
        members_are_found_by_their_profiles,
        companies_are_listed_in_pages,
        members_are_counted,
        members_are_selected_by_their_levels,
        the_rules_for_one_cell_are_loaded,
        the_cursor_key_does_not_change;
    assignments:
        find_holder_evaluates_all_levels_together,
        levels_of_a_user_are_ordered_by_name_and_holders_by_id,
        holders_are_listed_in_pages,
        memberships_are_listed_in_pages,
        replaced_levels_state_whether_they_deny,
        unknown_users_hold_nothing,
        assignments_of_one_user_in_two_companies_are_separate,
        levels_of_another_company_cannot_be_assigned,
        levels_that_remain_assigned_keep_their_assignment,
        holders_of_two_levels_are_separate;
    edits:
        edits_change_several_users_together,
        edits_are_recorded_for_each_user,
        invalid_edits_are_rejected,
        the_matrices_of_a_company_are_loaded_together;
    idempotency:
        a_record_of_a_request_is_read_as_written,
        a_record_is_stored_together_with_a_change,
        the_records_of_a_caller_are_limited,
        expired_records_are_deleted;
    sessions:
        a_session_is_read_as_written_until_it_expires,
        a_session_is_extended_until_its_end,
        an_ended_session_does_not_come_back,
        expired_sessions_are_deleted;
    partial_snapshots:
        a_snapshot_of_some_levels_contains_only_these_levels,
        the_rules_beside_a_level_are_combined_per_user;
    replaces:
        a_replaced_set_is_exactly_the_requested_set,
        replacing_a_set_with_itself_is_no_change,
        a_replacement_leaves_other_sets_unchanged,
        the_error_of_a_replacement_contains_all_unknown_ids,
        the_error_of_a_replacement_contains_an_unknown_owner,
        duplicates_are_ignored_in_sets_and_rejected_in_matrices,
        a_replacement_sees_earlier_writes_of_its_unit_of_work,
        a_replacement_sees_writes_after_a_read_in_its_unit_of_work,
        the_views_of_a_feature_are_replaced_atomically,
        the_views_of_a_module_are_replaced_atomically,
        the_features_of_a_module_are_replaced_atomically,
        the_modules_of_a_company_are_replaced_atomically,
        the_levels_of_a_user_are_replaced_atomically,
        a_view_matrix_is_replaced_atomically,
        a_feature_matrix_is_replaced_atomically,
        two_concurrent_replacements_end_as_one_of_them,
        unchanged_view_cells_keep_their_ids,
        unchanged_feature_cells_keep_their_ids,
        ten_thousand_cells_are_replaced;
    menus:
        menu_entries_are_read_as_created,
        required_permissions_are_stored_unchanged,
        updates_of_menu_entries_keep_the_creation_time,
        deleting_a_menu_item_deletes_its_sub_items,
        menu_entries_that_do_not_exist_cannot_be_changed,
        menu_ids_are_unique,
        the_error_for_an_unknown_reference_of_a_menu_entry_contains_its_id,
        menu_entries_are_ordered_by_position_label_and_id,
        menus_of_two_companies_are_separate,
        menu_entries_of_another_owner_cannot_be_changed,
        the_uses_of_a_view_or_feature_are_found_across_companies,
        the_items_that_require_a_key_are_found_across_companies;
    units:
        a_unit_of_work_commits_all_its_writes,
        a_dropped_unit_of_work_has_no_effect,
        an_empty_unit_of_work_commits_nothing,
        writes_are_visible_inside_before_and_outside_after_the_commit,
        catalog_writes_are_visible_inside_before_and_outside_after_the_commit,
        a_failure_rolls_back_the_whole_unit_of_work,
        a_failure_rolls_back_the_whole_catalog_unit,
        a_unit_of_work_rejects_another_company,
        a_catalog_unit_rejects_companies,
        a_company_unit_rejects_the_catalog,
        units_of_work_of_two_companies_may_be_open_concurrently,
        each_unit_of_work_increments_the_version,
        the_time_of_units_of_work_never_goes_back,
        a_unit_of_work_may_undo_its_writes,
        a_unit_of_work_can_move_between_tasks;
    races:
        changes_to_one_company_are_serialized,
        changes_to_the_catalog_are_serialized,
        catalog_and_company_changes_exclude_each_other,
        credential_changes_and_others_exclude_each_other,
        continuous_changes_starve_no_other_change,
        of_two_concurrent_levels_with_one_name_one_is_created,
        of_two_concurrent_views_with_one_url_one_is_created,
        a_level_is_not_deleted_during_its_assignment,
        a_view_is_not_deleted_while_a_menu_begins_to_use_it,
        versions_follow_the_order_of_commits,
        catalog_and_company_changes_do_not_deadlock,
        many_companies_change_concurrently;
    transacting:
        a_transaction_runs_the_work_and_commits,
        work_that_loses_a_race_is_retried,
        retries_of_work_are_bounded,
        work_that_fails_has_no_effect,
        work_with_a_conflict_is_not_retried;
    audit:
        creation_update_and_deletion_of_a_level_are_recorded,
        creation_update_and_deletion_of_catalog_entries_are_recorded,
        creation_update_and_deletion_of_menu_entries_are_recorded,
        changes_to_a_view_matrix_are_recorded,
        changes_to_a_feature_matrix_are_recorded,
        changes_to_assignments_are_recorded,
        large_changes_to_a_matrix_are_recorded_in_parts,
        large_changes_to_assignments_are_recorded_in_parts,
        changes_to_mappings_are_recorded,
        records_contain_the_actor,
        records_of_one_unit_have_ascending_ids,
        uncommitted_changes_are_not_recorded;
    records:
        an_appended_record_is_read_as_written,
        a_unit_of_work_rejects_records_of_other_targets,
        records_of_companies_and_platform_are_separate,
        records_are_filtered,
        pages_contain_all_records_exactly_once,
        pages_are_bounded_by_bytes,
        records_are_ordered_newest_first_and_limited,
        a_record_is_appended_once,
        every_kind_of_record_is_stored,
        a_unit_of_work_measures_its_records;
    states:
        a_company_has_no_state_before_its_first_change,
        a_company_is_provisioned_once,
        a_company_remains_provisioned_after_later_changes,
        versions_are_of_one_epoch;
    companies:
        details_of_a_company_are_read_as_written,
        a_suspension_only_removes,
        every_snapshot_contains_the_status,
        memberships_contain_the_details_of_the_company,
        an_erasure_deletes_all_rows_of_the_company,
        an_erased_company_cannot_be_changed,
        an_erasure_that_is_rolled_back_deletes_nothing,
        the_ids_of_erased_rows_can_be_used_again;
    contents:
        content_is_read_as_installed,
        content_cannot_use_the_ids_of_another_company,
        content_must_refer_to_the_catalog,
        audit_records_are_restored_once,
        a_snapshot_does_not_change;
    profiles:
        a_profile_is_read_as_written,
        profiles_of_two_companies_are_separate,
        a_forgotten_user_has_no_profile_and_no_trail;
    quotas:
        overrides_of_quotas_are_read_as_written,
        the_use_of_each_quota_is_counted,
        the_use_of_quotas_of_two_companies_is_separate,
        a_unit_of_work_measures_growth,
        a_unit_of_work_measures_the_growth_of_assignments,
        level_sets_exceed_a_limit_only_if_their_number_grows,
        level_sets_are_compared_after_all_changes;
    copies:
        a_copy_contains_the_period_of_each_assignment,
        a_copy_contains_the_data_of_its_company;
    ceilings:
        ceilings_are_read_as_written,
        a_snapshot_contains_the_ceilings_of_its_company;
    credentials:
        a_key_is_read_as_created,
        the_rate_of_a_key_is_stored,
        the_prefix_and_the_id_of_a_key_are_unique,
        a_key_is_revoked_once,
        recording_key_uses_is_no_change,
        a_cut_off_can_be_set_and_replaced,
        a_unit_of_work_reads_the_cut_off_of_its_actor,
        external_users_are_registered_by_a_change,
        concurrent_changes_register_an_external_user_once,
        credentials_are_read_since_a_version,
        a_unit_of_the_credentials_changes_nothing_else;
    snapshots:
        a_user_snapshot_contains_the_users_levels,
        unknown_users_and_companies_have_empty_snapshots,
        a_company_snapshot_contains_all_users,
        gates_open_with_an_enabled_module,
        the_next_snapshot_contains_the_change,
        the_catalog_is_loaded_separately,
        a_user_snapshot_never_mixes_two_states,
        a_company_snapshot_never_mixes_two_states,
        a_snapshot_contains_all_changes_up_to_its_versions,
        a_loaded_snapshot_does_not_change,
        a_snapshot_of_some_users_contains_only_these_users,
        a_snapshot_of_some_users_never_mixes_two_states,
        a_menu_is_loaded_with_its_versions;
    trails:
        steps_are_listed_in_the_order_of_their_creation,
        a_session_keeps_its_newest_steps,
        a_user_keeps_the_newest_steps_of_all_sessions,
        recent_views_are_distinct_and_newest_first,
        a_session_is_deleted_once,
        trails_of_two_users_with_one_session_id_are_separate,
        session_ids_are_exact,
        a_step_with_an_unknown_view_is_rejected,
        steps_survive_the_deletion_of_their_view,
        writing_trails_is_no_change,
        concurrent_steps_are_all_stored;
    effective:
        effective_rows_are_read_as_written,
        no_effective_row_means_unknown,
        effective_rows_are_dropped_by_user_level_and_company,
        effective_rows_of_two_companies_are_separate,
        expired_rows_are_not_found,
        expired_rows_are_deleted_in_bounded_batches,
        rows_of_a_company_without_changes_are_stale,
        rows_of_other_versions_are_stale,
        a_change_outdates_earlier_rows,
        a_catalog_change_outdates_all_rows,
        rows_are_stale_during_a_change,
        rows_are_valid_until_the_commit,
        writing_effective_rows_is_no_change,
        effective_actions_are_exact,
        effective_rows_have_the_time_of_the_storage,
        active_users_are_ordered_by_latest_use;
    texts:
        strings_of_the_catalog_are_stored_unchanged,
        strings_of_levels_are_stored_unchanged,
        strings_of_menus_are_stored_unchanged,
        strings_of_trails_are_stored_unchanged,
        strings_of_effective_rows_are_stored_unchanged,
        similar_names_are_different,
        similar_keys_are_different;
    feed:
        the_first_poll_returns_the_current_versions,
        a_change_is_reported_once_when_it_is_committed,
        every_kind_of_change_is_reported,
        a_unit_without_changes_is_not_reported,
        a_poll_sees_what_committed_before_it_began,
        a_commit_wakes_the_listeners,
        waiting_for_a_wake_up_is_cancel_safe;
}
