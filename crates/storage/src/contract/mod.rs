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
    levels:
        a_level_is_found_as_it_was_made,
        an_unknown_level_is_not_found,
        a_level_is_updated_but_for_its_birth,
        a_level_is_deleted,
        a_level_that_is_not_there_cannot_be_changed,
        levels_come_by_name,
        a_level_name_is_unique_in_its_company,
        a_level_name_is_its_own_and_free_again,
        level_names_may_be_exchanged_in_one_unit,
        a_level_id_is_unique,
        a_level_that_somebody_holds_stays,
        levels_of_two_companies_stay_apart,
        every_company_may_have_an_admin;
    catalog:
        catalog_parts_are_found_as_they_were_made,
        catalog_look_ups_are_exact,
        catalog_parts_are_updated_but_for_their_birth,
        catalog_parts_are_deleted,
        catalog_parts_that_are_not_there_cannot_be_changed,
        catalog_keys_and_ids_are_unique,
        catalog_keys_are_free_again,
        features_without_a_key_do_not_conflict,
        views_come_by_url,
        modules_come_by_name_then_id,
        features_come_by_key_and_those_without_one_last,
        own_actions_are_kept_as_they_are,
        a_view_goes_with_its_permissions_and_mappings,
        a_feature_goes_with_its_permissions_and_mappings,
        a_module_goes_with_its_mappings,
        a_level_goes_with_its_permissions,
        a_dropped_action_goes_with_its_permissions,
        what_a_menu_uses_stays,
        mapped_parts_are_found_whole;
    mappings:
        an_element_is_added_and_removed_once,
        an_unknown_element_or_owner_is_named,
        an_unknown_owner_has_no_elements,
        mapped_views_come_by_url,
        mapped_features_come_by_key,
        mapped_modules_come_by_name_then_id,
        the_companies_of_a_module_come_by_id,
        a_module_is_switched_off_and_on_for_one_company,
        a_module_that_was_had_keeps_its_switch,
        a_module_is_switched_only_when_that_says_something,
        modules_of_two_companies_stay_apart;
    matrices:
        a_view_cell_is_found_as_it_was_written,
        a_feature_cell_is_found_as_it_was_written,
        pinned_cells_are_counted,
        a_cell_that_is_written_again_keeps_its_id,
        each_action_has_a_cell_of_its_own,
        a_cell_id_is_unique,
        view_cells_come_by_id,
        feature_cells_come_by_id_then_action,
        cells_of_another_company_are_not_found,
        cells_of_another_company_cannot_be_changed,
        a_replace_cannot_write_cells_of_another_company_or_level,
        cells_about_other_views_stay;
    assignments:
        a_holder_is_found_by_what_the_levels_say,
        levels_held_come_by_name_and_holders_by_id,
        holders_come_page_by_page,
        unknown_users_hold_nothing,
        one_user_in_two_companies_stays_apart,
        levels_of_another_company_cannot_be_given,
        levels_that_stay_held_keep_their_assignment,
        holders_of_one_level_stay_apart;
    replaces:
        a_replaced_set_is_exactly_what_was_wanted,
        a_set_replaced_by_itself_is_not_changed,
        a_replace_leaves_its_neighbours,
        a_replace_names_all_that_is_unknown,
        a_replace_names_an_unknown_owner,
        a_replace_that_repeats_itself,
        a_replace_sees_its_own_unit,
        a_replace_sees_what_its_unit_changed_after_a_read,
        the_views_of_a_feature_are_replaced_atomically,
        the_views_of_a_module_are_replaced_atomically,
        the_features_of_a_module_are_replaced_atomically,
        the_modules_of_a_company_are_replaced_atomically,
        the_levels_of_a_user_are_replaced_atomically,
        a_view_matrix_is_replaced_atomically,
        a_feature_matrix_is_replaced_atomically,
        two_replaces_at_once_end_as_one_of_them,
        view_cells_that_stay_stay_themselves,
        feature_cells_that_stay_stay_themselves,
        ten_thousand_cells_are_replaced;
    menus:
        menu_entries_are_found_as_they_were_made,
        required_permissions_are_kept_as_they_are,
        menu_entries_are_updated_but_for_their_birth,
        a_menu_item_goes_with_its_sub_items,
        menu_entries_that_are_not_there_cannot_be_changed,
        menu_ids_are_unique,
        menu_entries_name_what_is_unknown,
        menu_entries_come_by_order_label_id,
        menus_of_two_companies_stay_apart,
        menu_entries_of_another_owner_cannot_be_changed,
        the_uses_of_a_view_or_feature_are_found_across_companies,
        the_items_that_require_a_key_are_found_across_companies;
    units:
        a_unit_commits_all_that_it_wrote,
        a_dropped_unit_leaves_nothing,
        an_empty_unit_commits_nothing,
        writes_are_seen_inside_before_and_outside_after_the_commit,
        catalog_writes_are_seen_inside_before_and_outside_after_the_commit,
        a_failure_takes_the_whole_unit_with_it,
        a_failure_takes_the_whole_catalog_unit_with_it,
        a_unit_refuses_another_company,
        a_catalog_unit_refuses_companies,
        a_company_unit_refuses_the_catalog,
        units_of_two_companies_may_be_open_at_once,
        a_version_grows_by_one_with_each_unit,
        the_time_of_units_does_not_run_backwards,
        a_unit_may_undo_itself,
        a_unit_can_move_between_tasks;
    races:
        changes_of_one_company_are_serial,
        changes_of_the_catalog_are_serial,
        catalog_and_company_changes_wait_for_each_other,
        changes_of_credentials_and_others_wait_for_each_other,
        changes_without_a_pause_keep_no_other_out,
        two_levels_of_one_name_at_once,
        two_views_of_one_url_at_once,
        a_level_deleted_while_it_is_given,
        a_view_deleted_while_a_menu_begins_to_use_it,
        versions_follow_the_order_of_commits,
        catalog_and_company_changes_do_not_deadlock,
        many_companies_change_at_once;
    transacting:
        work_is_run_and_committed,
        work_that_loses_races_is_tried_again,
        work_that_always_loses_gives_up,
        work_that_fails_leaves_nothing,
        work_with_a_conflict_is_not_tried_again;
    audit:
        the_life_of_a_level_is_recorded,
        the_lives_of_catalog_parts_are_recorded,
        the_lives_of_menu_entries_are_recorded,
        changes_of_a_view_matrix_are_recorded,
        changes_of_a_feature_matrix_are_recorded,
        changes_of_assignments_are_recorded,
        changes_of_mappings_are_recorded,
        records_name_the_actor,
        records_of_one_unit_ascend_in_its_order,
        what_is_not_committed_is_not_recorded;
    records:
        an_appended_record_is_found_as_it_was,
        a_record_belongs_to_its_unit,
        records_of_companies_and_platform_stay_apart,
        records_are_filtered,
        pages_walk_through_all_records_once,
        the_newest_records_come_first_and_limited,
        a_record_is_appended_once,
        every_kind_of_record_is_kept;
    states:
        a_company_has_no_state_before_its_first_change,
        a_company_is_provisioned_once,
        being_provisioned_outlives_later_changes,
        versions_are_of_one_epoch;
    credentials:
        a_key_is_found_as_it_was_made,
        a_key_is_looked_up_by_a_prefix_of_its_own,
        a_key_is_revoked_once,
        uses_of_keys_are_no_changes,
        a_user_is_cut_off_from_a_time_on,
        a_unit_knows_the_cut_off_of_its_actor,
        external_users_are_remembered_with_a_change,
        an_external_user_is_remembered_by_two_at_once,
        credentials_are_read_since_a_version,
        a_unit_of_credentials_changes_nothing_else;
    snapshots:
        a_user_snapshot_holds_the_users_levels,
        unknown_users_and_companies_have_empty_snapshots,
        a_company_snapshot_holds_all_users,
        gates_open_with_a_module_that_is_switched_on,
        the_next_snapshot_has_the_change,
        the_catalog_is_loaded_alone,
        a_user_snapshot_never_mixes_two_states,
        a_company_snapshot_never_mixes_two_states,
        a_snapshot_is_of_the_versions_that_it_bears,
        a_snapshot_stays_as_it_was_loaded,
        a_snapshot_of_some_users_holds_only_them,
        a_snapshot_of_some_users_never_mixes_two_states,
        a_menu_is_loaded_with_its_versions;
    trails:
        steps_are_found_in_the_order_they_were_made,
        a_session_keeps_its_newest_steps,
        a_user_keeps_the_newest_steps_of_all_sessions,
        recent_places_are_distinct_and_newest_first,
        a_session_is_forgotten_once,
        trails_of_one_session_id_stay_apart,
        session_ids_are_exact,
        a_step_with_an_unknown_view_is_refused,
        steps_outlive_their_view,
        trails_are_no_changes,
        steps_made_at_once_are_all_kept;
    effective:
        effective_rows_are_found_as_they_were_written,
        no_effective_row_means_unknown,
        effective_rows_are_dropped_by_user_level_and_company,
        effective_rows_of_two_companies_stay_apart,
        expired_rows_are_not_found,
        expired_rows_are_swept_in_bounds,
        rows_of_a_company_without_changes_are_stale,
        rows_of_other_versions_are_stale,
        a_change_outdates_the_rows_from_before,
        a_catalog_change_outdates_all_rows,
        rows_are_stale_while_a_change_is_under_way,
        rows_are_right_until_the_commit,
        effective_rows_are_no_changes,
        effective_actions_are_exact,
        effective_rows_bear_the_storages_time,
        active_users_come_latest_first;
    texts:
        texts_of_the_catalog_are_kept,
        texts_of_levels_are_kept,
        texts_of_menus_are_kept,
        texts_of_trails_are_kept,
        texts_of_effective_rows_are_kept,
        names_that_look_alike_are_different,
        keys_that_look_alike_are_different;
    feed:
        the_first_poll_says_what_is_current,
        a_change_is_reported_once_when_it_is_committed,
        every_kind_of_change_is_reported,
        what_changed_nothing_is_not_reported,
        a_poll_sees_what_committed_before_it_began,
        a_commit_wakes_the_listeners,
        waiting_for_a_wake_up_may_be_given_up;
}
