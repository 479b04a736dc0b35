//! Tests of batches of explanations.

use serde_json::{Value, json};

use crate::support::api::{both_adapters, fields, new_user};

const EXPLANATIONS: &str = "/api/iam/explanations";

both_adapters! {
    /// Each result of a batch equals the explanation of the single check, without its names. The batch contains the
    /// names of all results.
    async fn a_batch_of_explanations_equals_the_single_explanations(api: TestApi) {
        let company = api.company().await;
        let checks = [
            json!({ "view": "/dashboard" }),
            json!({ "view": "/admin/permissions", "userId": company.visitor }),
            json!({ "feature": "risks.create", "action": "Create", "userId": company.member }),
            json!({ "feature": "general.read", "action": "Read", "scope": "any", "userId": company.member }),
            json!({ "view": "/dashboard", "userId": new_user() }),
            json!({ "view": "/nowhere" }),
        ];
        let request = api.post(EXPLANATIONS).by(company.admin).within(company.id).json(&json!({ "checks": checks }));
        let answer = request.send().await.expect(200);
        assert!(answer.header("x-iam-version").is_some());
        let batch = answer.data();
        assert_eq!(fields(&batch), ["names", "results"]);
        let mut names = json!({});
        let mut results = Vec::new();
        for check in &checks {
            let single = api.post("/api/iam/explain").by(company.admin).within(company.id).json(check);
            let mut single = single.send().await.expect(200).data();
            let own = single.as_object_mut().unwrap().remove("names").unwrap();
            names.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            results.push(single);
        }
        assert_eq!(batch, json!({ "results": results, "names": names }));
        assert!(!names.as_object().unwrap().is_empty());
    }

    /// A check that is invalid, or that the caller may not make, has an error as its result. The other checks are
    /// explained.
    async fn checks_that_cannot_be_explained_have_errors(api: TestApi) {
        let company = api.company().await;
        let ask = async |by, checks: Value| {
            api.post(EXPLANATIONS).by(by).within(company.id).json(&json!({ "checks": checks })).send().await
        };
        let checks = json!([{ "view": "/dashboard" }, {}, { "view": "/dashboard", "userId": company.admin }]);
        let results = ask(company.member, checks).await.expect(200).data()["results"].take();
        assert_eq!(results[0]["userId"], json!(company.member));
        for (result, code) in [(&results[1], "ERR_VALIDATION_001"), (&results[2], "ERR_AUTH_003")] {
            assert_eq!((&result["reasonCode"], &result["error"]["code"]), (&json!("not_decided"), &json!(code)));
        }
        for count in [0, 101] {
            let answer = ask(company.member, json!(vec![json!({ "view": "/dashboard" }); count])).await;
            let message = "checks must contain 1 to 100 elements";
            assert_eq!(answer.error(), (400, "ERR_VALIDATION_001".into(), message.into()));
        }
        let many = json!(vec![json!({ "view": "/dashboard" }); 100]);
        assert_eq!(ask(company.member, many).await.expect(200).data()["results"].as_array().unwrap().len(), 100);
    }
}
