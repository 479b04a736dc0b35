//! Tests of permission matrices, through the API.

use iam_domain::UserId;
use serde_json::{Value, json};

use crate::support::api::{Answer, Company, TestApi, both_adapters, each, fields, is_time, new_company};

async fn put(api: &TestApi, company: Company, by: UserId, level: &str, matrix: &str, cells: Value) -> Answer {
    let path = format!("/api/iam/user-levels/{level}/permissions/{matrix}");
    api.put(&path).by(by).within(company.id).json(&json!({ matrix: cells })).send().await
}

/// Creates a level with two pinned cells: the view `/dashboard`, and the action Read of `general.read`. Returns the ids
/// of the level, the view and the feature.
async fn pinned(api: &TestApi, company: Company) -> (String, String, String) {
    let level = api.new_level(company, "Pinned").await;
    let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
    api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "allow", "modifiable": false }])).await;
    let cell = json!({ "featureId": feature, "action": "Read", "scope": "team", "modifiable": false });
    api.set_matrix(company, &level, "features", json!([cell])).await;
    (level, view, feature)
}

both_adapters! {
    /// A view cell in a response has all its fields. By default, the state of a cell is `inherit` and the cell is
    /// modifiable.
    async fn a_view_cell_has_the_documented_shape_and_defaults(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let view = api.view_id("/dashboard").await;
        let answer = put(&api, company, company.admin, &level, "views", json!([{ "viewId": view }])).await.expect(200);
        assert_eq!(answer.data()["message"], "View permissions updated successfully");

        let path = format!("/api/iam/user-levels/{level}/permissions/views");
        let data = api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data();
        assert_eq!(fields(&data), ["permissions"]);
        let cell = &data["permissions"][0];
        let names = ["companyId", "createdAt", "id", "modifiable", "state", "updatedAt", "userLevelId", "viewId"];
        assert_eq!(fields(cell), names);
        assert_eq!(cell["companyId"], company.id.to_string());
        assert_eq!(cell["userLevelId"], level.as_str());
        assert_eq!(cell["viewId"], view.as_str());
        assert_eq!(cell["state"], "inherit");
        assert_eq!(cell["modifiable"], true);
        assert!(is_time(&cell["createdAt"]) && is_time(&cell["updatedAt"]));
    }

    /// A feature cell in a response has all its fields. By default, the value of a cell is `true`, its scope is `any`,
    /// and the cell is modifiable.
    async fn a_feature_cell_has_the_documented_shape_and_defaults(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let feature = api.feature_id("general.read").await;
        let cells = json!([{ "featureId": feature, "action": "Read" }]);
        let answer = put(&api, company, company.admin, &level, "features", cells).await.expect(200);
        assert_eq!(answer.data()["message"], "Feature permissions updated successfully");

        let cell = &api.matrix(company, &level, "features").await[0];
        let names = [
            "action",
            "companyId",
            "createdAt",
            "featureId",
            "id",
            "modifiable",
            "scope",
            "updatedAt",
            "userLevelId",
            "value",
        ];
        assert_eq!(fields(cell), names);
        assert_eq!(cell["companyId"], company.id.to_string());
        assert_eq!(cell["userLevelId"], level.as_str());
        assert_eq!(cell["featureId"], feature.as_str());
        assert_eq!(cell["action"], "Read");
        assert_eq!(cell["value"], true);
        assert_eq!(cell["scope"], "any");
        assert_eq!(cell["modifiable"], true);
        assert!(is_time(&cell["createdAt"]) && is_time(&cell["updatedAt"]));
    }

    /// View cells are listed by view id, and feature cells by feature id and action, regardless of the order in the
    /// request.
    async fn cells_are_ordered_by_their_view_or_feature(api: TestApi) {
        let company = api.company().await;
        let admin = api.level_id(company, "Admin").await;
        let views = Value::from(api.matrix(company, &admin, "views").await);
        assert_eq!(views.as_array().unwrap().len(), 14);
        assert!(each(&views, "viewId").is_sorted());
        let features = Value::from(api.matrix(company, &admin, "features").await);
        assert_eq!(features.as_array().unwrap().len(), 19 * 6);
        assert!(each(&features, "featureId").iter().zip(each(&features, "action")).is_sorted());
    }

    /// A request replaces the whole matrix. Cells that the request omits are deleted.
    async fn a_replacement_contains_the_whole_matrix(api: TestApi) {
        let company = api.company().await;
        let (one, other) = (api.view_id("/dashboard").await, api.view_id("/home").await);
        let level = api.new_level(company, "Auditors").await;
        let both = json!([{ "viewId": one, "state": "allow" }, { "viewId": other, "state": "deny" }]);
        put(&api, company, company.admin, &level, "views", both).await.expect(200);
        let rest = json!([{ "viewId": other, "state": "deny" }]);
        put(&api, company, company.admin, &level, "views", rest).await.expect(200);
        assert_eq!(each(&Value::from(api.matrix(company, &level, "views").await), "viewId"), [other]);
        put(&api, company, company.admin, &level, "views", json!([])).await.expect(200);
        assert!(api.matrix(company, &level, "views").await.is_empty());
    }

    /// A replacement of the matrix does not modify unchanged cells. Changed cells keep their ids and creation times.
    async fn unchanged_cells_keep_their_rows(api: TestApi) {
        let company = api.company().await;
        let (one, other) = (api.feature_id("general.read").await, api.feature_id("general.create").await);
        let level = api.new_level(company, "Auditors").await;
        let cells = |scope: &str| {
            json!([
                { "featureId": one, "action": "Read" },
                { "featureId": other, "action": "Create", "value": false, "scope": scope },
            ])
        };
        api.set_matrix(company, &level, "features", cells("own")).await;
        let before = api.matrix(company, &level, "features").await;
        put(&api, company, company.admin, &level, "features", cells("team")).await.expect(200);
        let after = api.matrix(company, &level, "features").await;

        let of = |matrix: &[Value], id: &str| matrix.iter().find(|cell| cell["featureId"] == id).unwrap().clone();
        assert_eq!(of(&after, &one), of(&before, &one));
        let (old, new) = (of(&before, &other), of(&after, &other));
        assert_eq!((&new["id"], &new["createdAt"]), (&old["id"], &old["createdAt"]));
        assert_eq!((&old["scope"], &new["scope"]), (&json!("own"), &json!("team")));
    }

    /// The replacement of a matrix is atomic. If one cell is invalid, nothing is stored.
    async fn a_replacement_is_atomic(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let (view, feature) = (api.view_id("/dashboard").await, api.feature_id("general.read").await);
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "deny" }])).await;
        api.set_matrix(company, &level, "features", json!([{ "featureId": feature, "action": "Read" }])).await;
        let (views, features) =
            (api.matrix(company, &level, "views").await, api.matrix(company, &level, "features").await);

        let unknown = new_company();
        let cells = json!([{ "viewId": view, "state": "allow" }, { "viewId": unknown, "state": "allow" }]);
        let answer = put(&api, company, company.admin, &level, "views", cells).await;
        let message = format!("views[1].viewId refers to an unknown view: {unknown}");
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message));
        let cells = json!([{ "featureId": feature, "action": "Update" }, { "featureId": unknown, "action": "Read" }]);
        let answer = put(&api, company, company.admin, &level, "features", cells).await;
        let message = format!("features[1].featureId refers to an unknown feature: {unknown}");
        assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message));

        assert_eq!(api.matrix(company, &level, "views").await, views);
        assert_eq!(api.matrix(company, &level, "features").await, features);
    }

    /// All invalid cells of a matrix are reported, each with its index.
    async fn all_validation_errors_are_returned(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let view = api.view_id("/dashboard").await;
        let cells = json!([
            { "viewId": view, "state": "maybe" }, { "viewId": view }, { "viewId": view }, { "state": "allow" },
            { "viewId": "x" }, 7, { "viewId": view, "modifiable": null },
        ]);
        let findings = put(&api, company, company.admin, &level, "views", cells).await.findings();
        let fields: Vec<_> = findings.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "views[0].state",
                "views[2].viewId",
                "views[3].viewId",
                "views[4].viewId",
                "views[5]",
                "views[6].modifiable",
            ]
        );
        assert_eq!(findings[0].1, "views[0].state must be one of: allow, deny, inherit");
        assert_eq!(findings[1].1, "views[2].viewId occurs twice");
    }

    /// All unknown views in a matrix are reported, each with its index.
    async fn all_unknown_views_are_returned(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let (one, other) = (new_company(), new_company());
        let cells = json!([{ "viewId": other }, { "viewId": api.view_id("/home").await }, { "viewId": one }]);
        let findings = put(&api, company, company.admin, &level, "views", cells).await.findings();
        let at = |index: usize, id| {
            let field = format!("views[{index}].viewId");
            (field.clone(), format!("{field} refers to an unknown view: {id}"))
        };
        assert_eq!(findings, [at(0, other), at(2, one)]);
    }

    /// The list of cells is required and must be an array.
    async fn a_matrix_must_be_an_array(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        for matrix in ["views", "features"] {
            let path = format!("/api/iam/user-levels/{level}/permissions/{matrix}");
            for body in [json!({}), json!({ matrix: null }), json!({ matrix: {} }), json!({ matrix: "all" })] {
                let answer = api.put(&path).by(company.admin).within(company.id).json(&body).send().await;
                let message = format!("{matrix} must be an array");
                assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message), "{body}");
            }
        }
    }

    /// The value of a feature cell must be a JSON boolean. No other value grants a permission.
    async fn a_value_must_be_a_boolean(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let feature = api.feature_id("general.read").await;
        for value in [json!("false"), json!("true"), json!(0), json!(1), json!(null), json!([])] {
            let cells = json!([{ "featureId": feature, "action": "Read", "value": value }]);
            let answer = put(&api, company, company.admin, &level, "features", cells).await;
            let message = "features[0].value must be a boolean";
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()), "{value}");
        }
        assert!(api.matrix(company, &level, "features").await.is_empty());
    }

    /// The scope of a cell must be one of the four scopes. A cell must not occur twice in a request.
    async fn scopes_are_validated_and_duplicate_cells_rejected(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let feature = api.feature_id("general.read").await;
        let cells = json!([
            { "featureId": feature, "action": "Read", "scope": "world" },
            { "featureId": feature, "action": "Create" },
            { "featureId": feature, "action": "Create", "value": false },
        ]);
        let findings = put(&api, company, company.admin, &level, "features", cells).await.findings();
        let finding = |field: &str, rest: &str| (field.to_owned(), format!("{field} {rest}"));
        assert_eq!(
            findings,
            [
                finding("features[0].scope", "must be one of: own, team, company, any"),
                finding("features[2].action", "occurs twice"),
            ]
        );
    }

    /// The seven standard actions are valid for every feature. A feature can list further actions, which are valid for
    /// this feature.
    async fn actions_must_be_known_to_the_feature(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let own = api.make("features", None, json!({ "key": "reports", "name": "Reports", "actions": ["Sign"] })).await;
        let (own, plain) = (own["id"].as_str().unwrap(), api.feature_id("general.read").await);
        let standard = ["Create", "Read", "Update", "Delete", "Export", "Approve", "Publish"];
        let mut cells: Vec<_> = standard.iter().map(|action| json!({ "featureId": plain, "action": action })).collect();
        cells.push(json!({ "featureId": own, "action": "Sign" }));
        put(&api, company, company.admin, &level, "features", Value::from(cells)).await.expect(200);
        assert_eq!(api.matrix(company, &level, "features").await.len(), 8);

        for (feature, action) in [(plain.as_str(), "Sign"), (plain.as_str(), "read"), (own, "sign")] {
            let cells = json!([{ "featureId": feature, "action": action }]);
            let answer = put(&api, company, company.admin, &level, "features", cells).await;
            let message = format!("features[0].action refers to an unknown action: {action}");
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message));
        }
    }

    /// Requests for the matrix of a level that does not exist or belongs to another company return 404.
    async fn an_unknown_level_has_no_matrix(api: TestApi) {
        let (company, other) = (api.company().await, api.company().await);
        let foreign = api.level_id(other, "Member").await;
        let before = api.matrix(other, &foreign, "views").await;
        for level in [foreign.clone(), new_company().to_string()] {
            for matrix in ["views", "features"] {
                let path = format!("/api/iam/user-levels/{level}/permissions/{matrix}");
                let not_found = (404, "ERR_RESOURCE_001".to_owned(), "User level not found".to_owned());
                let got = api.get(&path).by(company.admin).within(company.id).send().await;
                assert_eq!(got.error(), not_found);
                let answer = put(&api, company, company.admin, &level, matrix, json!([])).await;
                assert_eq!(answer.error(), not_found);
            }
        }
        assert_eq!(api.matrix(other, &foreign, "views").await, before);
    }

    /// An administrator can change the other cells of a matrix if the request contains the pinned cells unchanged. The
    /// request may include or omit the field `modifiable`.
    async fn an_administrator_can_change_unpinned_cells(api: TestApi) {
        let company = api.company().await;
        let (level, view, feature) = pinned(&api, company).await;
        let home = api.view_id("/home").await;
        for pin in [
            json!({ "viewId": view, "state": "allow" }),
            json!({ "viewId": view, "state": "allow", "modifiable": false }),
        ] {
            let cells = json!([pin, { "viewId": home, "state": "deny" }]);
            put(&api, company, company.admin, &level, "views", cells).await.expect(200);
        }
        let cells = json!([
            { "featureId": feature, "action": "Read", "scope": "team" }, { "featureId": feature, "action": "Update" },
        ]);
        put(&api, company, company.admin, &level, "features", cells).await.expect(200);
        for (matrix, name, id) in [("views", "viewId", &view), ("features", "action", &"Read".to_owned())] {
            let cells = api.matrix(company, &level, matrix).await;
            assert_eq!(cells.len(), 2);
            assert!(cells.iter().all(|cell| (cell[name] == id.as_str()) == (cell["modifiable"] == false)), "{cells:?}");
        }
    }

    /// An administrator cannot omit, change or unpin a pinned view cell. The error names the view.
    async fn an_administrator_cannot_change_a_pinned_view(api: TestApi) {
        let company = api.company().await;
        let (level, view, _) = pinned(&api, company).await;
        let before = api.matrix(company, &level, "views").await;
        let attempts = [
            json!([]),
            json!([{ "viewId": view, "state": "deny" }]),
            json!([{ "viewId": view }]),
            json!([{ "viewId": view, "state": "allow", "modifiable": true }]),
        ];
        for cells in attempts {
            let answer = put(&api, company, company.admin, &level, "views", cells.clone()).await;
            let message = format!("Only super admins may change pinned permissions: {view}");
            assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message), "{cells}");
        }
        assert_eq!(api.matrix(company, &level, "views").await, before);
    }

    /// An administrator cannot omit, change or unpin a pinned feature cell. The error names the feature and the action.
    async fn an_administrator_cannot_change_a_pinned_action(api: TestApi) {
        let company = api.company().await;
        let (level, _, feature) = pinned(&api, company).await;
        let before = api.matrix(company, &level, "features").await;
        let attempts = [
            json!([]),
            json!([{ "featureId": feature, "action": "Read", "scope": "any" }]),
            json!([{ "featureId": feature, "action": "Read", "scope": "team", "value": false }]),
            json!([{ "featureId": feature, "action": "Read", "scope": "team", "modifiable": true }]),
            json!([{ "featureId": feature, "action": "Update", "scope": "team" }]),
        ];
        for cells in attempts {
            let answer = put(&api, company, company.admin, &level, "features", cells.clone()).await;
            let message = format!("Only super admins may change pinned permissions: {feature}/Read");
            assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message), "{cells}");
        }
        assert_eq!(api.matrix(company, &level, "features").await, before);
    }

    /// An administrator can pin neither a new nor an existing cell.
    async fn an_administrator_cannot_pin_cells(api: TestApi) {
        let company = api.company().await;
        let level = api.new_level(company, "Auditors").await;
        let (view, home) = (api.view_id("/dashboard").await, api.view_id("/home").await);
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "allow" }])).await;
        let cells = json!([
            { "viewId": view, "state": "allow", "modifiable": false }, { "viewId": home, "modifiable": false },
        ]);
        let answer = put(&api, company, company.admin, &level, "views", cells).await;
        let message = format!("Only super admins may change pinned permissions: {view}, {home}");
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message));
        let named: Vec<_> =
            answer.json()["errors"].as_array().unwrap().iter().map(|e| e["message"].to_string()).collect();
        assert!(named[0].contains(&view) && named[1].contains(&home), "{named:?}");
        assert_eq!(api.matrix(company, &level, "views").await.len(), 1);
    }

    /// Super admins can change, unpin and omit pinned cells.
    async fn a_super_admin_can_change_pinned_cells(api: TestApi) {
        let company = api.company().await;
        let (level, view, _) = pinned(&api, company).await;
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "deny" }])).await;
        let cell = api.matrix(company, &level, "views").await[0].clone();
        let stored = (&cell["state"], &cell["modifiable"]);
        assert_eq!(stored, (&json!("deny"), &json!(false)), "a cell must remain pinned if `modifiable` is omitted");
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "modifiable": true }])).await;
        assert_eq!(api.matrix(company, &level, "views").await[0]["modifiable"], true);
        api.set_matrix(company, &level, "features", json!([])).await;
        assert!(api.matrix(company, &level, "features").await.is_empty());
    }

    /// Only super admins can delete a level with pinned cells.
    async fn only_a_super_admin_deletes_a_level_with_pinned_cells(api: TestApi) {
        let company = api.company().await;
        let (level, _, _) = pinned(&api, company).await;
        let path = format!("/api/iam/user-levels/{level}");
        let answer = api.delete(&path).by(company.admin).within(company.id).send().await;
        let message = "Only super admins may delete a user level that has pinned permissions. This level has 2";
        assert_eq!(answer.error(), (403, "ERR_AUTH_003".into(), message.into()));
        assert_eq!(api.matrix(company, &level, "views").await.len(), 1);
        api.delete(&path).by_super_admin().within(company.id).send().await.expect(200);
    }
}
