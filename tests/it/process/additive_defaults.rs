//! Tests of the command `migration seed --additive-defaults`, which removes the denies of default levels that an
//! earlier release provisioned.

use crate::support::process::{run, text_of};

#[test]
fn the_options_of_additive_defaults_are_rejected_without_it_and_with_a_restore() {
    let invalid: [&[&str]; 3] =
        [&["--accept-gains"], &["--max-users", "1"], &["--additive-defaults", "--restore", "--accept-gains"]];
    for options in invalid {
        let output = run("migration", &[&["seed"], options].concat(), &[("DATABASE_URL", "postgres://localhost/iam")]);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", text_of(&output));
        assert!(text_of(&output).contains("--additive-defaults"), "{options:?}: {}", text_of(&output));
    }
}

mod postgres {
    use std::time::Duration;

    use iam_domain::provisioning::default_levels_with_denies;
    use iam_domain::{
        Assignment, CompanyId, ExternalId, FeaturePermission, FeaturePermissionId, Period, UserId, UserLevelId,
        ViewPermission, ViewPermissionId, ViewState,
    };
    use iam_storage::{ChangeContext, Target};
    use migration::additive_defaults::{self, Edit, Outcome, Plan};
    use sea_orm::sqlx::query_scalar;
    use serde_json::{Value, json};

    use super::*;
    use crate::support::api::{Company, TestApi, new_user, patient};
    use crate::support::database::OWNER;
    use crate::support::replica::{Replica, until};

    /// Replaces the matrices of the company's default levels with those that an earlier release provisioned.
    async fn provision_as_earlier_release(api: &TestApi, company: CompanyId) {
        let catalog = api.storage.reader().snapshots().load_catalog().await.unwrap().value;
        let mut tx = api.storage.begin(Target::Company(company), ChangeContext::command_line()).await.unwrap();
        let (now, levels) = (tx.now(), tx.user_levels().find_all(company).await.unwrap());
        for template in default_levels_with_denies(&catalog).unwrap() {
            let level = levels.iter().find(|level| level.name == template.name).unwrap().id;
            let views = template.views.into_iter().map(|(view_id, state)| ViewPermission {
                id: ViewPermissionId::generate(now),
                company_id: company,
                user_level_id: level,
                view_id,
                state,
                modifiable: true,
                created_at: now,
                updated_at: now,
            });
            let views = views.collect::<Vec<_>>();
            tx.view_permissions_mut().replace_for_user_level(company, level, &views).await.unwrap();
            let features = template.features.into_iter().map(|(feature_id, action, rule)| FeaturePermission {
                id: FeaturePermissionId::generate(now),
                company_id: company,
                user_level_id: level,
                feature_id,
                action,
                value: rule.value,
                scope: rule.scope,
                modifiable: true,
                created_at: now,
                updated_at: now,
            });
            let features = features.collect::<Vec<_>>();
            tx.feature_permissions_mut().replace_for_user_level(company, level, &features).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// A company that an earlier release provisioned.
    struct Case {
        api: TestApi,
        company: Company,
        /// The ids of the levels Member and Visitor.
        member: String,
        visitor: String,
    }

    impl Case {
        async fn new() -> Self {
            Self::within(TestApi::postgres().await).await
        }

        /// Creates another company in the database of this API.
        async fn within(api: TestApi) -> Self {
            let company = api.company().await;
            provision_as_earlier_release(&api, company.id).await;
            let (member, visitor) = (api.level_id(company, "Member").await, api.level_id(company, "Visitor").await);
            Self { api, company, member, visitor }
        }

        /// Assigns Member and Visitor to a user.
        async fn assign_both(&self, user: UserId) {
            self.api.assign(self.company, user, &[&self.member, &self.visitor]).await;
        }

        /// Runs `migration seed --additive-defaults` as the owner of the tables, to whom row-level security applies.
        /// Returns its output.
        fn run(&self, options: &[&str]) -> String {
            let url = self.api.database.as_ref().unwrap().url_as(OWNER);
            let arguments = [&["seed", "--additive-defaults"], options].concat();
            let output = run("migration", &arguments, &[("DATABASE_URL", &url)]);
            assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
            text_of(&output)
        }

        async fn sea_orm(&self) -> sea_orm::DatabaseConnection {
            self.api.database.as_ref().unwrap().sea_orm().await
        }

        async fn plan(&self) -> Plan {
            additive_defaults::plan(&self.sea_orm().await, self.company.id).await.unwrap()
        }

        /// Returns the versions, the permissions and the number of audit records in the database.
        async fn content(&self) -> Vec<String> {
            let sql = "SELECT text COLLATE \"C\" FROM (
                SELECT concat_ws(' ', 'version', company_id, version, stamp) FROM company_states
                UNION ALL SELECT concat('view ', id, state, updated_at) FROM user_level_view_permissions
                UNION ALL SELECT concat('action ', id, value, scope, updated_at) FROM user_level_feature_permissions
                UNION ALL SELECT concat('records ', count(*)) FROM iam_audit_logs) AS rows (text) ORDER BY 1";
            let mut connection = self.api.database.as_ref().unwrap().connect().await;
            query_scalar(sql).fetch_all(&mut connection).await.unwrap()
        }

        /// Returns the number of denied cells in both matrices of a level.
        async fn denies(&self, level: &str) -> usize {
            let views = self.api.matrix(self.company, level, "views").await;
            let features = self.api.matrix(self.company, level, "features").await;
            views.iter().filter(|cell| cell["state"] == "deny").count()
                + features.iter().filter(|cell| cell["value"] == false).count()
        }
    }

    fn action(feature: &str, action: &str) -> Value {
        json!({ "feature": feature, "action": action })
    }

    /// Returns the line of the listing that contains the gained actions of a feature.
    fn gained(feature: &str, actions: &str) -> String {
        format!("    feature {feature}: {actions}")
    }

    #[actix_web::test]
    async fn denies_are_removed_only_with_the_flag_and_replicas_detect_it() {
        let case = Case::new().await;
        let (api, company) = (&case.api, case.company);
        let (user, with_staff) = (new_user(), new_user());
        case.assign_both(user).await;
        let staff = api.new_level(company, "Staff").await;
        let view = api.view_id("/admin/permissions").await;
        api.set_matrix(company, &staff, "views", json!([{ "viewId": view, "state": "allow" }])).await;
        // The company lacks the module of `risks.approve`, so this rule grants nothing.
        let (general, gated) = (api.feature_id("general.delete").await, api.feature_id("risks.approve").await);
        let cells = json!([
            { "featureId": general, "action": "Delete", "scope": "any" },
            { "featureId": gated, "action": "Approve", "scope": "any" },
        ]);
        api.set_matrix(company, &staff, "features", cells).await;
        api.assign(company, with_staff, &[&staff, &case.visitor]).await;
        let current = api.company().await;

        let questions = [
            (user, action("general.create", "Create")),
            (user, action("companies.manage", "Update")),
            (with_staff, action("general.delete", "Delete")),
            (with_staff, json!({ "view": "/admin/permissions" })),
        ];
        // With the default lease, the replica polls often enough to detect a change without a wake-up.
        let replica = Replica::with_options(api, patient()).await;
        let answers = async || {
            let mut answers = Vec::new();
            for (user, question) in &questions {
                let answer = replica.api.check(company, *user, question.clone()).await;
                answers.push(answer["allowed"].as_bool().unwrap());
            }
            answers
        };
        assert_eq!(answers().await, [false; 4]);

        let before = case.content().await;
        let listed = case.run(&[]);
        assert_eq!(case.content().await, before);
        let lines: Vec<_> = listed.lines().collect();
        let of_both: Vec<_> = lines
            .iter()
            .skip_while(|line| **line != r#"  users with the levels "Member", "Visitor" gain:"#)
            .skip(1)
            .take_while(|line| line.starts_with("    "))
            .map(|line| (*line).to_owned())
            .collect();
        let features = [
            "companies.create",
            "companies.delete",
            "companies.manage",
            "general.create",
            "general.delete",
            "general.export",
            "general.read",
            "general.update",
            "subscription.billing",
            "subscription.manage",
            "users.invite",
            "users.manage",
            "users.remove",
        ];
        let mut expected: Vec<_> =
            features.iter().map(|feature| gained(feature, "Create (company), Update (company)")).collect();
        expected.push(format!("    user {user}"));
        assert_eq!(of_both, expected, "{listed}");
        let of_staff = [
            r#"  users with the levels "Staff", "Visitor" gain:"#.to_owned(),
            "    view /admin/permissions".to_owned(),
            gained("general.delete", "Delete (any)"),
            format!("    user {with_staff}"),
        ];
        assert!(listed.contains(&of_staff.join("\n")), "{listed}");
        for line in [
            format!("company {}", company.id),
            format!("  level \"Member\" ({}): deny rules to remove: 21", case.member),
            format!("  level \"Visitor\" ({}): deny rules to remove: 97", case.visitor),
            "  users who hold a level with deny rules to remove, but gain nothing: 2".to_owned(),
            "total: companies 1, levels 2, deny rules 118, users who gain permissions 2, edited levels 0".to_owned(),
            "nothing was changed; to remove these deny rules, run the command again with --accept-gains".to_owned(),
        ] {
            assert!(lines.contains(&line.as_str()), "{line} is missing: {listed}");
        }
        assert!(!listed.contains(&current.id.to_string()), "{listed}");

        let version = |content: &[String]| {
            let prefix = format!("version {} ", company.id);
            let rest = content.iter().find_map(|line| line.strip_prefix(&prefix)).unwrap();
            rest.split(' ').next().unwrap().parse::<i64>().unwrap()
        };
        let applied = case.run(&["--accept-gains"]);
        let of_company: Vec<_> = lines.iter().take_while(|line| !line.starts_with("total")).copied().collect();
        assert!(
            applied.starts_with(&format!("{}\n  these deny rules were removed\ntotal", of_company.join("\n"))),
            "{applied}"
        );
        assert!(!applied.contains("nothing was changed"), "{applied}");
        until(async || answers().await == [true; 4]).await;
        assert_eq!(version(&case.content().await), version(&before) + 1);
        assert_eq!((case.denies(&case.member).await, case.denies(&case.visitor).await), (0, 0));
        for (user, question) in
            [(with_staff, action("risks.approve", "Approve")), (user, action("general.read", "Delete"))]
        {
            assert_eq!(replica.api.check(company, user, question).await["allowed"], false);
        }

        let after = case.content().await;
        for options in [&[] as &[_], &["--accept-gains"]] {
            assert_eq!(
                case.run(options),
                "nothing to do: no default level has deny rules, or all default levels with deny rules were edited\n"
            );
        }
        assert_eq!(case.content().await, after);
    }

    #[actix_web::test]
    async fn the_audit_log_contains_the_removed_cells_of_each_matrix() {
        let case = Case::new().await;
        let (api, company) = (&case.api, case.company);
        let path = format!("/api/iam/audit-logs?entityId={}&limit=2", case.visitor);
        let before = api.matrix(company, &case.visitor, "features").await;
        case.run(&["--accept-gains"]);
        let logs = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
        let logs = logs["logs"].as_array().unwrap();
        let actions: Vec<_> = logs.iter().map(|record| record["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["permissions.features_updated", "permissions.views_updated"]);
        for record in logs {
            assert_eq!(
                (&record["actorKind"], &record["userId"], &record["entityType"], &record["companyId"]),
                (&json!("command_line"), &Value::Null, &json!("permission"), &json!(company.id))
            );
        }
        let removed = before.iter().filter(|cell| cell["value"] == false).map(|cell| {
            let key = format!("{}/{}", cell["featureId"].as_str().unwrap(), cell["action"].as_str().unwrap());
            (key, json!({ "value": false, "scope": "own", "modifiable": true }))
        });
        let removed: serde_json::Map<_, _> = removed.collect();
        assert_eq!(removed.len(), 95);
        assert_eq!(logs[0]["changes"], json!({ "counts": { "allow": 17, "deny": 0 }, "before": removed, "after": {} }));
        let cell = json!({ "state": "deny", "modifiable": true });
        let (levels, permissions) = (api.view_id("/admin/user-levels").await, api.view_id("/admin/permissions").await);
        assert_eq!(
            logs[1]["changes"],
            json!({
                "counts": { "allow": 12, "deny": 0, "inherit": 0 },
                "before": { (levels): cell, (permissions): cell },
                "after": {},
            })
        );
    }

    #[actix_web::test]
    async fn edited_levels_are_left_unchanged() {
        let case = Case::new().await;
        let (api, company) = (&case.api, case.company);
        case.assign_both(new_user()).await;
        let path = |level: &str| format!("/api/iam/user-levels/{level}");
        let name = json!({ "name": "Guest" });
        api.patch(&path(&case.visitor)).by(company.admin).within(company.id).json(&name).send().await.expect(200);
        let view = api.view_id("/admin/permissions").await;
        let cells = api.matrix(company, &case.member, "views").await;
        let cells: Vec<_> = cells
            .iter()
            .filter(|cell| cell["viewId"] != view.as_str())
            .map(|cell| json!({ "viewId": cell["viewId"], "state": cell["state"] }))
            .collect();
        api.set_matrix(company, &case.member, "views", json!(cells)).await;

        // In the other company only Member was edited, so Visitor still loses its denies.
        let other = Case::within(api.clone()).await;
        let feature = api.feature_id("general.read").await;
        let cell = json!({ "featureId": feature, "action": "Read", "scope": "team" });
        let mut cells: Vec<_> = api.matrix(other.company, &other.member, "features").await;
        cells.retain(|old| old["featureId"] != feature.as_str() || old["action"] != "Read");
        let mut cells: Vec<_> = cells
            .iter()
            .map(|old| {
                json!({ "featureId": old["featureId"], "action": old["action"], "value": old["value"], "scope": old["scope"] })
            })
            .collect();
        cells.push(cell);
        api.set_matrix(other.company, &other.member, "features", json!(cells)).await;

        let edits = |plan: Plan| plan.edited.into_iter().map(|level| level.edit).collect::<Vec<_>>();
        let plan = case.plan().await;
        assert_eq!((plan.levels.len(), plan.gaining.len(), plan.not_gaining), (0, 0, 0));
        assert_eq!(edits(plan), [Edit::Renamed, Edit::View("/admin/permissions".to_owned())]);
        let plan = other.plan().await;
        assert_eq!(plan.levels.iter().map(|level| level.name.as_str()).collect::<Vec<_>>(), ["Visitor"]);
        assert!(matches!(&edits(plan)[..], [Edit::Action { feature, .. }] if feature == "general.read"));

        let (guest, member) = (case.denies(&case.visitor).await, case.denies(&case.member).await);
        let text = case.run(&["--accept-gains"]);
        for line in [
            format!("  level \"Guest\" ({}): left unchanged, because its name was edited", case.visitor),
            format!(
                "  level \"Member\" ({}): left unchanged, because its cell for the view /admin/permissions was edited",
                case.member
            ),
            format!(
                "  level \"Member\" ({}): left unchanged, because its cell for the action Read of the \
                feature general.read was edited",
                other.member
            ),
            "total: companies 1, levels 1, deny rules 97, users who gain permissions 0, edited levels 3".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing: {text}");
        }
        assert_eq!((case.denies(&case.visitor).await, case.denies(&case.member).await), (guest, member));
        assert_eq!((other.denies(&other.visitor).await, other.denies(&other.member).await), (0, 21));
    }

    #[actix_web::test]
    async fn levels_of_a_catalog_that_has_changed_since_are_unedited() {
        let case = Case::new().await;
        let (api, before) = (&case.api, case.plan().await);
        api.make("views", None, json!({ "name": "New", "url": "/admin/new" })).await;
        api.make("features", None, json!({ "name": "New", "key": "general.new" })).await;
        let sql = "DELETE FROM sub_menu_items; DELETE FROM menu_items";
        let mut connection = api.database.as_ref().unwrap().connect().await;
        crate::support::database::run(&mut connection, sql.to_owned()).await.unwrap();
        for path in [
            format!("/api/iam/features/{}", api.feature_id("general.export").await),
            format!("/api/iam/views/{}", api.view_id("/admin/permissions").await),
        ] {
            api.delete(&path).by_super_admin().send().await.expect(200);
        }
        let denies = |plan: &Plan| plan.levels.iter().map(|level| level.denies).collect::<Vec<_>>();
        assert_eq!(denies(&before), [21, 97]);
        assert_eq!(denies(&case.plan().await), [19, 91]);
    }

    #[actix_web::test]
    async fn the_number_of_listed_users_is_limited_and_external_ids_are_listed() {
        let case = Case::new().await;
        let external = ExternalId::parse("https://issuer.example|user@example.com").unwrap();
        let company = case.company.id;
        let mut tx = case.api.storage.begin(Target::Company(company), ChangeContext::command_line()).await.unwrap();
        let levels = [&case.member, &case.visitor].map(|level| UserLevelId::parse(level).unwrap());
        for user in (0..21).map(|_| new_user()).chain([external.user_id()]) {
            for level in levels {
                let assignment = Assignment {
                    user_id: user,
                    user_level_id: level,
                    company_id: company,
                    assigned_by: None,
                    created_at: tx.now(),
                    period: Period::UNLIMITED,
                };
                tx.assignments_mut().add(&assignment).await.unwrap();
            }
        }
        tx.users_mut().remember(&[&external]).await.unwrap();
        tx.commit().await.unwrap();
        let users = |text: &str| text.lines().filter(|line| line.starts_with("    user ")).count();
        let text = case.run(&[]);
        assert_eq!(users(&text), 20, "{text}");
        assert!(text.contains("\n  more users who gain permissions: 2 (--max-users 22 lists all)\n"), "{text}");
        let text = case.run(&["--max-users", "22"]);
        assert_eq!(users(&text), 22, "{text}");
        assert!(text.contains(&format!("\n    user {} ({external})\n", external.user_id())), "{text}");
        assert!(!text.contains("more users"), "{text}");
    }

    #[actix_web::test]
    async fn gains_that_were_not_listed_are_not_applied() {
        let case = Case::new().await;
        let db = case.sea_orm().await;
        let listed = case.plan().await;
        let user = new_user();
        case.assign_both(user).await;
        let before = case.content().await;
        let Outcome::Outdated(current) = additive_defaults::apply(&db, &listed).await.unwrap() else {
            panic!("the plan must be outdated")
        };
        assert_eq!(case.content().await, before);
        assert_eq!(current.gaining.iter().flat_map(|group| &group.users).collect::<Vec<_>>(), [&(user, None)]);
        assert_eq!(additive_defaults::apply(&db, &current).await.unwrap(), Outcome::Applied);
        let after = case.content().await;
        assert_ne!(after, before);
        assert!(matches!(additive_defaults::apply(&db, &current).await.unwrap(), Outcome::Outdated(_)));
        assert_eq!(case.content().await, after);
    }

    #[actix_web::test]
    async fn an_edit_in_progress_is_awaited_and_kept() {
        let case = Case::new().await;
        let (api, company) = (&case.api, case.company.id);
        let listed = case.plan().await;
        let level = listed.levels[1].id;
        let mut tx = api.storage.begin(Target::Company(company), ChangeContext::command_line()).await.unwrap();
        let cells = tx.view_permissions().find_by_user_level(company, level).await.unwrap();
        let kept: Vec<_> = cells.iter().filter(|cell| cell.state == ViewState::Deny).collect();
        tx.view_permissions_mut().delete(company, level, kept[0].view_id).await.unwrap();

        let db = case.sea_orm().await;
        let plan = listed.clone();
        let applying = tokio::spawn(async move { additive_defaults::apply(&db, &plan).await.unwrap() });
        let waits =
            "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'public_lock.iam_changes'::regclass AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        let mut observer = api.database.as_ref().unwrap().connect().await;
        while !query_scalar::<_, bool>(waits).fetch_one(&mut observer).await.unwrap() {
            assert!(!applying.is_finished(), "the command must wait for the edit");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tx.commit().await.unwrap();
        let Outcome::Outdated(current) = applying.await.unwrap() else { panic!("the plan must be outdated") };
        assert_eq!(current.edited.iter().map(|level| level.id).collect::<Vec<_>>(), [level]);
        assert_eq!((case.denies(&case.member).await, case.denies(&case.visitor).await), (21, 96));
    }

    #[actix_web::test]
    async fn an_interrupted_run_is_continued() {
        let first = Case::new().await;
        let second = Case::within(first.api.clone()).await;
        let db = first.sea_orm().await;
        assert_eq!(additive_defaults::apply(&db, &first.plan().await).await.unwrap(), Outcome::Applied);
        assert_eq!(additive_defaults::companies(&db).await.unwrap(), [second.company.id]);
        let before = first.denies(&first.visitor).await;
        let text = first.run(&["--accept-gains"]);
        assert!(text.contains("total: companies 1, levels 2, deny rules 118, "), "{text}");
        assert_eq!((before, first.denies(&first.visitor).await, second.denies(&second.visitor).await), (0, 0, 0));
        assert_eq!(additive_defaults::companies(&db).await.unwrap(), []);
    }
}
