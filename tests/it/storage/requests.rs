//! Tests of the number of SQL statements per request. The numbers are stored in a snapshot. Reviewers therefore notice
//! every increase, such as an N+1 query. Polls and look-ups of credentials use connections outside the pool, and are
//! not counted.

mod postgres {
    use std::collections::{BTreeMap, BTreeSet};
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use actix_web::http::Method;
    use iam_domain::UserId;
    use iam_http::HttpOptions;
    use iam_permissions_cache::CacheOptions;
    use serde_json::{Value, json};

    use crate::storage::statements::postgres::{lines, storage_behind};
    use crate::support::api::{Answer, Company, Request, TestApi, new_user, patient};
    use crate::support::database::{Content, TestDatabase};
    use crate::support::proxy::Proxy;
    use crate::support::replica::Replica;

    /// Maximum number of SQL statements per request.
    const MOST: usize = 10;
    /// The only operation that may send more statements than [`MOST`]. It creates three levels with two matrices each,
    /// once per company.
    const PROVISION: &str = "POST /api/iam/companies/{companyId}/provision";
    /// The operation that creates a company includes the work of [`PROVISION`].
    const CREATE: &str = "POST /api/iam/companies";
    /// The operation that erases a company consists of two changes: it first revokes the API keys of the company.
    const ERASE: &str = "DELETE /api/iam/companies/{companyId}";

    /// A client that counts the SQL statements of each request.
    struct CountingClient {
        api: TestApi,
        proxy: Rc<Proxy>,
        table: BTreeMap<String, usize>,
        _replica: Replica,
    }

    impl CountingClient {
        async fn new() -> Self {
            let database = TestDatabase::new(Content::Seeded).await;
            let proxy = Rc::new(Proxy::to(&database).await);
            let storage = Arc::new(storage_behind(&proxy));
            let api = TestApi::over(storage, Some(Rc::new(database)), HttpOptions::default()).await;
            // The lease is too long to expire during the test. Cached entries therefore remain valid.
            let options = CacheOptions { lease: Duration::from_secs(3600), ..patient() };
            let replica = Replica::over(&api, Arc::clone(&api.storage), options).await;
            Self { api: replica.api.clone(), proxy, table: BTreeMap::new(), _replica: replica }
        }

        /// Sends a request for an operation of the OpenAPI document (`METHOD /path/{parameter}`) and records how many
        /// SQL statements the request sends.
        async fn ask(
            &mut self,
            operation: &str,
            parameters: &[&str],
            complete: impl FnOnce(Request) -> Request,
        ) -> Answer {
            let (method, template) = operation.split_once(' ').unwrap();
            let mut parameters = parameters.iter();
            let parts = template.split('/').map(|part| {
                if part.starts_with('{') {
                    (*parameters.next().expect("a parameter")).to_owned()
                } else {
                    part.to_owned()
                }
            });
            let path = parts.collect::<Vec<_>>().join("/");
            // A parameter for which the path has no placeholder is the query string.
            let path = parameters.next().map_or(path.clone(), |query| format!("{path}?{query}"));
            let request = complete(self.api.request(method.parse::<Method>().unwrap(), &path));
            let before = self.proxy.statements();
            let answer = request.send().await;
            let statements = self.proxy.statements() - before;
            assert!(answer.status.is_success(), "{operation}: {}", String::from_utf8_lossy(&answer.body));
            self.table.insert(operation.to_owned(), statements);
            answer
        }

        /// Sends a typical request for each operation. The names of the entities that this round creates contain
        /// `word`.
        async fn round(&mut self, word: &str) {
            let company = self.api.company().await;
            self.decisions(company).await;
            self.levels(company).await;
            self.matrices(company).await;
            self.catalog(word).await;
            self.modules(company, word).await;
            self.menu(company).await;
            self.rest(company).await;
        }

        async fn decisions(&mut self, company: Company) {
            let member = |request: Request| request.by(company.member).within(company.id);
            self.ask("GET /api/iam/navigation", &[], member).await;
            let visitor = |request: Request| request.by(company.visitor).within(company.id);
            self.ask("GET /api/iam/permissions/current", &[], visitor).await;
            self.ask("GET /api/iam/me", &[], member).await;
            self.ask("GET /api/iam/me/companies", &[], member).await;
            self.ask("GET /api/iam/me/catalog", &[], member).await;
            let question = json!({ "feature": "general.read", "action": "Read" });
            // The user is already cached, but `Cache-Control: no-cache` requires up-to-date data.
            let anew = |request: Request| member(request).header("cache-control", "no-cache").json(&question);
            self.ask("POST /api/iam/check", &[], anew).await;
            self.ask("POST /api/iam/explain", &[], anew).await;
            let questions = json!({ "checks": vec![question.clone(); 100] });
            let many = |request: Request| member(request).header("cache-control", "no-cache").json(&questions);
            self.ask("POST /api/iam/explanations", &[], many).await;
            let admin = |request: Request| request.by(company.admin).within(company.id);
            // A batch of a thousand checks for fifty users, none of whom is cached.
            let users: Vec<_> = (0..50).map(|_| new_user()).collect();
            let about = |user| json!({ "feature": "general.read", "action": "Read", "userId": user });
            let checks: Vec<_> = users.iter().cycle().take(1000).map(about).collect();
            let checks = json!({ "checks": checks });
            self.ask("POST /api/iam/checks", &[], |request| admin(request).json(&checks)).await;
            self.ask("GET /api/iam/users/{userId}/permissions", &[&company.member.to_string()], admin).await;
            self.ask("GET /api/iam/what-can", &[&format!("userId={}", company.member)], admin).await;
        }

        async fn levels(&mut self, company: Company) {
            let admin = |request: Request| request.by(company.admin).within(company.id);
            self.ask("GET /api/iam/user-levels", &[], admin).await;
            let level = json!({ "name": "Auditors", "description": "They audit." });
            let made = self.ask("POST /api/iam/user-levels", &[], |request| admin(request).json(&level)).await;
            let level = text(&made.data()["userLevel"]["id"]);
            self.ask("GET /api/iam/user-levels/{id}", &[&level], admin).await;
            self.ask("GET /api/iam/user-levels/{id}/users", &[&level], admin).await;
            self.ask("GET /api/iam/users", &["limit=1&total=true"], admin).await;
            self.ask("GET /api/iam/companies", &["limit=1&total=true&sort=name"], Request::by_super_admin).await;
            self.ask("GET /api/iam/who-can", &["limit=1&feature=general.read&action=Read"], admin).await;
            let change = json!({ "name": "Inspectors" });
            let path = format!("/api/iam/user-levels/{level}");
            let preview = json!({ "method": "PATCH", "path": path, "body": change });
            self.ask("POST /api/iam/previews", &[], |request| admin(request).json(&preview)).await;
            self.ask("PATCH /api/iam/user-levels/{id}", &[&level], |request| admin(request).json(&change)).await;
            self.ask("DELETE /api/iam/user-levels/{id}", &[&level], admin).await;

            // The change removes one level and assigns another.
            let (member, visitor) = (company.member.to_string(), self.api.level_id(company, "Visitor").await);
            let levels = json!({ "userLevelIds": [visitor] });
            let assign = |request: Request| admin(request).json(&levels);
            self.ask("PUT /api/iam/users/{userId}/user-levels", &[&member], assign).await;
            self.ask("GET /api/iam/users/{userId}/user-levels", &[&member], admin).await;
            let one = "/api/iam/users/{userId}/user-levels/{levelId}";
            let own = self.api.level_id(company, "Member").await;
            self.ask(&format!("PUT {one}"), &[&member, &own], admin).await;
            self.ask("GET /api/iam/assignments", &["limit=1&expiresBefore=2999-01-01T00:00:00Z"], admin).await;
            self.ask(&format!("DELETE {one}"), &[&member, &visitor], admin).await;
            // A hundred users receive a level, and another user loses a level and receives two.
            let mut add: Vec<_> = (0..100).map(|_| json!({ "userId": new_user(), "userLevelId": visitor })).collect();
            let admins = self.api.level_id(company, "Admin").await;
            add.extend([&visitor, &admins].map(|level| json!({ "userId": member, "userLevelId": level })));
            let edits = json!({ "add": add, "remove": [{ "userId": member, "userLevelId": own }] });
            self.ask("POST /api/iam/assignments", &[], |request| admin(request).json(&edits)).await;
        }

        async fn matrices(&mut self, company: Company) {
            let admin = |request: Request| request.by(company.admin).within(company.id);
            let level = self.api.level_id(company, "Visitor").await;
            // Each change to a matrix changes one cell and removes another cell. The second change also adds a cell.
            for (field, member, value) in [("views", "state", "inherit"), ("features", "scope", "team")] {
                let path = format!("/api/iam/user-levels/{{id}}/permissions/{field}");
                let cells = self.ask(&format!("GET {path}"), &[&level], admin).await.data()["permissions"].take();
                let cells = cells.as_array().unwrap();
                for wanted in [&cells[..cells.len() - 1], &cells[1..]] {
                    let mut wanted: Vec<_> = wanted.iter().map(cell).collect();
                    wanted[0][member] = json!(value);
                    let matrix = json!({ field: wanted });
                    self.ask(&format!("PUT {path}"), &[&level], |request| admin(request).json(&matrix)).await;
                }
                // The edit overwrites one cell and removes another cell.
                let edit = json!({ "set": [cell(&cells[0])], "unset": [key(&cells[1])] });
                self.ask(&format!("PATCH {path}"), &[&level], |request| admin(request).json(&edit)).await;
            }
            // The first request loads the permissions of the caller, which the changes have made outdated.
            for _ in 0..2 {
                self.ask("GET /api/iam/matrix", &[], admin).await;
            }
        }

        async fn catalog(&mut self, word: &str) {
            let platform = |request: Request| request.by_super_admin();
            self.ask("GET /api/iam/views", &[], platform).await;
            let view = json!({ "name": "View", "url": format!("/{word}") });
            let made = self.ask("POST /api/iam/views", &[], |request| platform(request).json(&view)).await;
            let view = text(&made.data()["view"]["id"]);
            self.ask("GET /api/iam/views/{id}", &[&view], platform).await;
            let change = json!({ "name": "Renamed" });
            self.ask("PATCH /api/iam/views/{id}", &[&view], |request| platform(request).json(&change)).await;

            self.ask("GET /api/iam/features", &[], platform).await;
            let feature = json!({ "name": "Feature", "key": format!("{word}.key"), "actions": ["Sign"] });
            let made = self.ask("POST /api/iam/features", &[], |request| platform(request).json(&feature)).await;
            let feature = text(&made.data()["feature"]["id"]);
            self.ask("GET /api/iam/features/{id}", &[&feature], platform).await;
            let change = json!({ "actions": ["Seal"] });
            self.ask("PATCH /api/iam/features/{id}", &[&feature], |request| platform(request).json(&change)).await;
            let other = self.api.view_id("/dashboard").await;
            let put = "PUT /api/iam/features/{id}/views";
            let one = json!({ "viewIds": [other] });
            self.ask(put, &[&feature], |request| platform(request).json(&one)).await;
            let another = json!({ "viewIds": [view] });
            self.ask(put, &[&feature], |request| platform(request).json(&another)).await;
            self.ask("GET /api/iam/features/{id}/views", &[&feature], platform).await;
            self.ask("DELETE /api/iam/features/{id}", &[&feature], platform).await;
            self.ask("DELETE /api/iam/views/{id}", &[&view], platform).await;
        }

        async fn modules(&mut self, company: Company, word: &str) {
            let platform = |request: Request| request.by_super_admin();
            self.ask("GET /api/iam/modules", &[], platform).await;
            let module = json!({ "name": "Module", "code": word });
            let made = self.ask("POST /api/iam/modules", &[], |request| platform(request).json(&module)).await;
            let module = text(&made.data()["module"]["id"]);
            self.ask("GET /api/iam/modules/{id}", &[&module], platform).await;
            let change = json!({ "name": "Renamed" });
            self.ask("PATCH /api/iam/modules/{id}", &[&module], |request| platform(request).json(&change)).await;
            // Another module gates the same views. They remain gated when this module is deleted.
            let put = "PUT /api/iam/modules/{id}/views";
            for url in ["/modules/risks", "/modules/audit"] {
                let views = json!({ "viewIds": [self.api.view_id(url).await] });
                self.ask(put, &[&module], |request| platform(request).json(&views)).await;
            }
            self.ask("GET /api/iam/modules/{id}/views", &[&module], platform).await;
            let put = "PUT /api/iam/modules/{id}/features";
            for key in ["risks.create", "risks.edit"] {
                let features = json!({ "featureIds": [self.api.feature_id(key).await] });
                self.ask(put, &[&module], |request| platform(request).json(&features)).await;
            }
            self.ask("GET /api/iam/modules/{id}/features", &[&module], platform).await;

            let id = company.id.to_string();
            self.ask("GET /api/iam/companies/{companyId}/modules", &[&id], platform).await;
            let modules = json!({ "moduleIds": [module] });
            let put = "PUT /api/iam/companies/{companyId}/modules";
            self.ask(put, &[&id], |request| platform(request).json(&modules)).await;
            let off = json!({ "enabled": false });
            let switch = "PATCH /api/iam/companies/{companyId}/modules/{moduleId}";
            self.ask(switch, &[&id, &module], |request| platform(request).json(&off)).await;
            self.ask("GET /api/iam/companies/{companyId}/quotas", &[&id], platform).await;
            let quotas = json!({ "levels": 2000 });
            let put = "PUT /api/iam/companies/{companyId}/quotas";
            self.ask(put, &[&id], |request| platform(request).json(&quotas)).await;
            let risks = self.api.feature_id("risks.edit").await;
            let ceiling = json!({ "featureId": risks, "action": "Read", "maxScope": "own" });
            let ceilings = json!({ "hiddenViews": [], "actions": [ceiling] });
            let preview = "POST /api/iam/companies/{companyId}/ceilings/preview";
            self.ask(preview, &[&id], |request| platform(request).json(&ceilings)).await;
            let put = "PUT /api/iam/companies/{companyId}/ceilings";
            self.ask(put, &[&id], |request| platform(request).json(&ceilings)).await;
            self.ask("GET /api/iam/companies/{companyId}/ceilings", &[&id], platform).await;
            self.ask("DELETE /api/iam/modules/{id}", &[&module], platform).await;

            let admin = json!({ "adminUserId": new_user() });
            let other = crate::support::api::new_company().to_string();
            self.ask(PROVISION, &[&other], |request| platform(request).json(&admin)).await;

            let company = json!({ "name": "Company", "adminUserId": new_user() });
            let made = self.ask(CREATE, &[], |request| platform(request).json(&company)).await;
            let id = text(&made.data()["company"]["id"]);
            let key = json!({ "name": "Key", "role": "check", "companyId": id });
            self.api.post("/api/iam/api-keys").by_super_admin().json(&key).send().await.expect(201);
            self.ask("GET /api/iam/companies/{companyId}", &[&id], platform).await;
            let suspended = json!({ "name": "Former company", "status": "suspended" });
            let patch = "PATCH /api/iam/companies/{companyId}";
            self.ask(patch, &[&id], |request| platform(request).json(&suspended)).await;
            self.ask(ERASE, &[&id], platform).await;
        }

        async fn menu(&mut self, company: Company) {
            let platform = |request: Request| request.by_super_admin().within(company.id);
            let admin = |request: Request| request.by(company.admin).within(company.id);
            let (view, feature) = (self.api.view_id("/dashboard").await, self.api.feature_id("general.read").await);
            self.ask("GET /api/iam/menu-items", &[], admin).await;
            let item = json!({ "label": "Item", "viewId": view, "featureId": feature });
            let made = self.ask("POST /api/iam/menu-items", &[], |request| platform(request).json(&item)).await;
            let item = text(&made.data()["menuItem"]["id"]);
            self.ask("GET /api/iam/menu-items/{id}", &[&item], admin).await;
            let change = json!({ "label": "Renamed" });
            self.ask("PATCH /api/iam/menu-items/{id}", &[&item], |request| platform(request).json(&change)).await;

            self.ask("GET /api/iam/sub-menu-items", &[], admin).await;
            let sub_item = json!({ "menuItemId": item, "label": "Item", "viewId": view, "featureId": feature });
            let made = self.ask("POST /api/iam/sub-menu-items", &[], |request| platform(request).json(&sub_item)).await;
            let sub_item = text(&made.data()["subMenuItem"]["id"]);
            self.ask("GET /api/iam/sub-menu-items/{id}", &[&sub_item], admin).await;
            let patch = "PATCH /api/iam/sub-menu-items/{id}";
            self.ask(patch, &[&sub_item], |request| platform(request).json(&change)).await;
            self.ask("DELETE /api/iam/sub-menu-items/{id}", &[&sub_item], platform).await;
            self.ask("DELETE /api/iam/menu-items/{id}", &[&item], platform).await;
        }

        async fn rest(&mut self, company: Company) {
            let member = |request: Request| request.by(company.member).within(company.id);
            let admin = |request: Request| request.by(company.admin).within(company.id);
            let view = self.api.view_id("/dashboard").await;
            let step = json!({ "url": "/dashboard", "label": "Dashboard", "sessionId": "session", "viewId": view });
            self.ask("POST /api/iam/nav-trail", &[], |request| member(request).json(&step)).await;
            self.ask("GET /api/iam/nav-trail", &["sessionId=session"], member).await;
            self.ask("DELETE /api/iam/nav-trail", &["sessionId=session"], member).await;
            self.ask("GET /api/iam/audit-logs", &["includeTotal=true&limit=10"], admin).await;
            self.ask("GET /api/iam/users/{userId}", &[&company.member.to_string()], admin).await;
            let (user, level) = (new_user(), self.api.level_id(company, "Member").await);
            self.api.assign(company, user, &[&level]).await;
            let user = user.to_string();
            let profile = json!({ "displayName": "Ada", "email": "ada@example.com" });
            let put = "PUT /api/iam/users/{userId}/profile";
            self.ask(put, &[&user], |request| admin(request).json(&profile)).await;
            self.ask("GET /api/iam/users/{userId}/profile", &[&user], admin).await;
            self.ask("GET /api/iam/users/{userId}/companies", &[&user], Request::by_super_admin).await;
            self.ask("DELETE /api/iam/users/{userId}", &[&user], admin).await;
            let platform = Request::by_super_admin;
            let now = |request: Request| platform(request).json(&json!({}));
            self.ask("PUT /api/iam/users/{userId}/not-before", &[&new_user().to_string()], now).await;
            let key = json!({ "name": "Key", "role": "check" });
            let made = self.ask("POST /api/iam/api-keys", &[], |request| platform(request).json(&key)).await;
            let id = text(&made.data()["apiKey"]["id"]);
            self.ask("GET /api/iam/api-keys", &[], platform).await;
            self.ask("GET /api/iam/api-keys/{id}", &[&id], platform).await;
            self.ask("DELETE /api/iam/api-keys/{id}", &[&id], platform).await;
        }
    }

    fn text(value: &Value) -> String {
        value.as_str().unwrap().to_owned()
    }

    /// Returns the members of a cell of a response that identify the cell.
    fn key(answered: &Value) -> Value {
        let mut cell = answered.clone();
        cell.as_object_mut().unwrap().retain(|name, _| ["viewId", "featureId", "action"].contains(&name.as_str()));
        cell
    }

    /// Converts a cell of a response into a cell of a request.
    fn cell(answered: &Value) -> Value {
        let mut cell = answered.clone();
        let members = cell.as_object_mut().unwrap();
        members
            .retain(|name, _| !["id", "companyId", "userLevelId", "createdAt", "updatedAt"].contains(&name.as_str()));
        cell
    }

    /// Returns the number of SQL statements of every authenticated operation of the OpenAPI document. The connections
    /// and caches are warm.
    async fn requests() -> BTreeMap<String, usize> {
        let mut client = CountingClient::new().await;
        // The first round opens connections and fills the cache.
        client.round("first").await;
        client.table.clear();
        client.round("second").await;
        client.table
    }

    #[actix_web::test]
    async fn the_number_of_statements_per_request_is_bounded() {
        let table = requests().await;
        let unit = |count| if count == 1 { " statement" } else { " statements" };
        insta::assert_snapshot!("requests", lines(&table, unit));
        for (operation, statements) in &table {
            assert!(
                *statements <= MOST || [PROVISION, CREATE, ERASE].contains(&operation.as_str()),
                "{operation} sent {statements} statements"
            );
        }
        for decision in ["GET /api/iam/permissions/current", "POST /api/iam/check", "GET /api/iam/navigation"] {
            assert!(table[decision] < 10, "{decision} sent {} statements", table[decision]);
        }

        let document = iam_http::document().unwrap();
        let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/iam/"));
        let described: BTreeSet<String> = paths
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods
                    .filter(|method| ["get", "post", "put", "patch", "delete"].contains(&method.as_str()))
                    .map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        assert_eq!(table.into_keys().collect::<BTreeSet<_>>(), described);
    }

    /// Returns the numbers of SQL statements of a matrix change and of an assignment. The caller of both requests is
    /// the user `by`, or a super admin if `by` is `None`.
    async fn statements_of_grants(
        client: &mut CountingClient,
        company: Company,
        by: Option<UserId>,
        level: &str,
    ) -> [usize; 2] {
        let by = |request: Request| {
            let request = if let Some(user) = by { request.by(user) } else { request.by_super_admin() };
            request.within(company.id)
        };
        let feature = client.api.feature_id("general.read").await;
        let cell = |action: &str| json!({ "featureId": feature, "action": action, "scope": "company" });
        let path = format!("/api/iam/user-levels/{level}/permissions/features");
        let cells = |request: Request, actions: &[&str]| {
            let cells: Vec<_> = actions.iter().map(|action| cell(action)).collect();
            by(request).json(&json!({ "features": cells }))
        };
        // The first request opens connections and fills the cache.
        let levels = format!("/api/iam/users/{}/user-levels", new_user());
        cells(client.api.put(&path), &["Read", "Create"]).send().await.expect(200);
        let before = client.proxy.statements();
        cells(client.api.put(&path), &["Read", "Update"]).send().await.expect(200);
        let between = client.proxy.statements();
        by(client.api.put(&levels)).json(&json!({ "userLevelIds": [level] })).send().await.expect(200);
        [between - before, client.proxy.statements() - between]
    }

    /// The escalation checks send no statement for a company's administrators, unless the change reduces the service's
    /// own features. For callers without Approve, an assignment costs one statement, which reads the assigned levels. A
    /// matrix costs no statement, unless the change removes a deny or reduces the service's own features.
    #[actix_web::test]
    async fn the_escalation_checks_cost_at_most_one_statement() {
        let mut client = CountingClient::new().await;
        let company = client.api.company().await;
        let level = client.api.new_level(company, "New").await;
        let mut cells = Vec::new();
        for (key, actions) in [
            ("general.read", &["Create", "Read", "Update"][..]),
            ("iam.manage_levels", &["Update"]),
            ("iam.assign_permissions", &["Update"]),
        ] {
            let id = client.api.feature_id(key).await;
            cells.extend(actions.iter().map(|action| json!({ "featureId": id, "action": action })));
        }
        let (delegate, _) = client.api.holder_of(company, json!([]), json!(cells)).await;
        let [matrix, assignment] = statements_of_grants(&mut client, company, Some(company.admin), &level).await;
        assert!(matrix <= MOST && assignment <= MOST, "{matrix} {assignment}");
        let [guarded_matrix, guarded_assignment] =
            statements_of_grants(&mut client, company, Some(delegate), &level).await;
        assert_eq!([guarded_matrix, guarded_assignment], [matrix, assignment + 1]);
        // For a super admin, neither the authorization before the change nor the one under the lock reads levels. The
        // lockout guard searches for an administrator, because the matrix change removes a cell. The assignment removes
        // nothing.
        assert_eq!(statements_of_grants(&mut client, company, None, &level).await, [matrix - 1, assignment - 2]);
    }
}
