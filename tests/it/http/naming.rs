//! Tests of the names that explanations and audit records contain in addition to ids.

use serde_json::json;

use crate::support::api::both_adapters;

both_adapters! {
    /// An explanation contains the names of the view or feature, the levels and the modules whose ids it contains.
    async fn an_explanation_names_what_it_contains(api: TestApi) {
        let company = api.company().await;
        let question = json!({ "feature": "risks.create", "action": "Delete" });
        let request = api.post("/api/iam/explain").by(company.member).within(company.id).json(&question);
        let explanation = request.send().await.expect(200).data();
        let (level, module) = (api.level_id(company, "Member").await, api.module_id("risks").await);
        assert_eq!(explanation["gate"][0]["moduleId"], module.as_str());
        assert_eq!(explanation["names"][&level], "Member");
        assert_eq!(explanation["names"][&module], "Risks");
        let feature = api.feature_id("risks.create").await;
        assert_eq!((&explanation["featureId"], &explanation["viewId"]), (&json!(feature), &json!(null)));
        assert_eq!(explanation["names"][&feature], "Create Risks");
        // The explanation for an unknown view or feature contains neither ids nor names.
        for question in [json!({ "view": "/nowhere" }), json!({ "feature": "nothing", "action": "Read" })] {
            let request = api.post("/api/iam/explain").by(company.member).within(company.id).json(&question);
            let explanation = request.send().await.expect(200).data();
            assert_eq!((&explanation["featureId"], &explanation["viewId"]), (&json!(null), &json!(null)));
            assert_eq!(explanation["names"], json!({}));
        }
    }

    /// An audit record contains the names of the entities whose ids it contains. For a deleted entity, this is the name
    /// that the record contains.
    async fn an_audit_record_names_its_entities(api: TestApi) {
        let company = api.company().await;
        let (level, view) = (api.new_level(company, "Auditors").await, api.view_id("/dashboard").await);
        api.set_matrix(company, &level, "views", json!([{ "viewId": view, "state": "allow" }])).await;
        let logs = async |action: &str| {
            let path = format!("/api/iam/audit-logs?limit=1&action={action}");
            api.get(&path).by(company.admin).within(company.id).send().await.expect(200).data()["logs"][0].take()
        };
        let matrix = logs("permissions.views_updated").await;
        assert_eq!((&matrix["names"][&level], &matrix["names"][&view]), (&json!("Auditors"), &json!("Dashboard")));
        let path = format!("/api/iam/user-levels/{level}");
        api.delete(&path).by(company.admin).within(company.id).send().await.expect(200);
        assert_eq!(logs("user_level.deleted").await["names"][&level], "Auditors");
        // The record contains the name of a key that is restricted to the company, but not the name of a key for all
        // companies.
        for (restricted, is_named) in [(Some(company.id), true), (None, false)] {
            let key = api.api_key("administer", restricted).await;
            let body = json!({ "name": format!("By a service {is_named}") });
            api.post("/api/iam/user-levels").by_key(&key).within(company.id).json(&body).send().await.expect(201);
            let record = logs("user_level.created").await;
            let named = record["names"].get(record["userId"].as_str().unwrap());
            assert_eq!(named, is_named.then(|| json!("To administer")).as_ref());
        }
    }
}
