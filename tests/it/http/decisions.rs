//! Decisions through the door.

use serde_json::json;

use crate::kit::api::{new_company, new_user, over_both};

over_both! {
    /// The level that allows is named; what no level allows is denied with the reason.
    async fn a_check_says_why(api: TestApi) {
        let company = api.company().await;
        let read = json!({ "feature": "general.read", "action": "Read" });
        let answer = api.post("/api/iam/check").by(company.member).within(company.id).json(&read).send().await.expect(200);
        let member = api.level_id(company, "Member").await;
        assert_eq!(
            answer.data(),
            json!({
                "allowed": true, "scope": "company", "reason": "Explicitly allowed by one or more user levels",
                "reasonCode": "explicit_allow", "decidedBy": [member],
            })
        );
        assert!(answer.header("x-iam-version").is_some());

        let gated = json!({ "view": "/modules/risks" });
        let answer = api.post("/api/iam/check").by(company.admin).within(company.id).json(&gated).send().await.expect(200);
        assert_eq!(
            answer.data(),
            json!({
                "allowed": false, "scope": null,
                "reason": "Company does not have access to the module containing this view",
                "reasonCode": "view_module_missing", "decidedBy": [],
            })
        );
    }

    /// Whoever holds no level is denied everything, in known and in unknown companies alike.
    async fn a_stranger_is_denied_everything(api: TestApi) {
        let company = api.company().await;
        let stranger = new_user();
        for id in [company.id, new_company()] {
            let view = json!({ "view": "/dashboard" });
            let answer = api.post("/api/iam/check").by(stranger).within(id).json(&view).send().await.expect(200).data();
            assert_eq!(answer["reason"], "User has no assigned user levels");
            let navigation = api.get("/api/iam/navigation").by(stranger).within(id).send().await.expect(200).data();
            assert_eq!(navigation, json!({ "menu": [], "entrypoint": null }));
            let current = api.get("/api/iam/permissions/current").by(stranger).within(id).send().await.expect(200).data();
            assert!(current["views"].as_object().unwrap().values().all(|allowed| *allowed == false));
        }
    }
}
