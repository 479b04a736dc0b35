//! Tests that PostgreSQL scans no rows of other companies for requests of one company. A few statements are listed as
//! exceptions.

mod postgres {
    use std::collections::BTreeSet;
    use std::rc::Rc;
    use std::sync::Arc;

    use iam_domain::CompanyId;
    use iam_http::HttpOptions;
    use iam_storage::Storage;
    use iam_storage_postgres::PostgresStorage;

    use sea_orm::ConnectionTrait;
    use sea_orm::sqlx::PgConnection;

    use super::super::{counts, furnished, ids, is_read, new_world};
    use crate::http::operation::TestCaller;
    use crate::http::operations::{operation, operations};
    use crate::storage::plans::postgres::{LOAD, TENANT_TABLES};
    use crate::support::api::TestApi;
    use crate::support::database::{Content, TestDatabase, run};
    use crate::support::proxy::Proxy;

    /// Adds restrictive row-level security policies that raise a warning for every scanned row of another company. The
    /// function in these policies has a lower cost than any other condition. PostgreSQL therefore evaluates it on each
    /// scanned row before filters and other policies. Requests that create a company may scan the rows of that company.
    async fn spy(connection: &mut PgConnection, company: CompanyId) {
        run(connection, "CREATE TABLE spied AS SELECT company_id FROM company_states".to_owned()).await.unwrap();
        let spy = format!(
            "CREATE FUNCTION spy(name text, company uuid, item uuid) RETURNS boolean
                LANGUAGE plpgsql SECURITY DEFINER COST 0.0001 AS $$ BEGIN
                IF item IS NOT NULL THEN
                    SELECT company_id INTO company FROM public.menu_items WHERE id = item;
                END IF;
                IF company NOT IN ('{company}', '00000000-0000-0000-0000-000000000000',
                    'ffffffff-ffff-ffff-ffff-ffffffffffff')
                    AND (EXISTS (SELECT FROM public.spied WHERE company_id = company)
                        OR current_setting('iam.company', true) IS DISTINCT FROM company::text)
                THEN
                    RAISE WARNING 'spy: % % %', name, CASE current_setting('iam.company', true)
                        WHEN company::text THEN 'its own' WHEN 'all' THEN 'all' ELSE 'another' END, current_query();
                END IF;
                RETURN true;
            END $$"
        );
        run(connection, spy).await.unwrap();
        // Sessions belong to no company.
        for table in TENANT_TABLES.into_iter().filter(|table| *table != "console_sessions") {
            let of = if table == "sub_menu_items" { "NULL, menu_item_id" } else { "company_id, NULL" };
            let policy = format!("CREATE POLICY spy ON {table} AS RESTRICTIVE USING (spy('{table}', {of}))");
            run(connection, policy).await.unwrap();
        }
    }

    /// The SQL that ungates most features. The loaded test data gates every feature by a module, so without this
    /// statement no user would have administrative rights.
    const UNGATE: &str = "DELETE FROM module2features USING features
        WHERE feature_id = features.id AND key NOT LIKE 'loaded.%' AND key NOT LIKE 'risks.%'";

    /// The statements that may scan rows of another company. Each entry consists of the reason and a part of the SQL
    /// text.
    const NAMED: [(&str, &str); 8] = [
        ("the load for a non-member reads the specified company and returns no rows", "AS catalog_version"),
        ("a poll reports the companies that changed", "pg_visible_in_snapshot"),
        ("super admins list all companies", "name::text AS name, status::text AS status"),
        ("changes to the catalog search for menu items that require a feature", "WHERE required_permissions @> $1"),
        // A menu item may belong to no company, so its primary key consists of the id alone. The statement finds the
        // row with the sent id by primary key, and then filters it by company.
        ("a menu item by its id", "FROM menu_items AS m WHERE id = $1 AND company_id IS NOT DISTINCT FROM $2"),
        ("a sub-item by its id", "WHERE s.id = $1 AND m.company_id IS NOT DISTINCT FROM $2"),
        ("the parent item of a new sub-item", "WHERE id = $2 AND company_id IS NOT DISTINCT FROM $3 RETURNING id"),
        ("the new parent item of a sub-item", "AND new_item.id = $2 AND new_item.company_id IS NOT DISTINCT FROM $3"),
    ];

    fn spied(proxy: &Proxy) -> BTreeSet<String> {
        proxy.warnings().into_iter().filter(|warning| warning.starts_with("spy: ")).collect()
    }

    #[actix_web::test]
    async fn no_statement_scans_a_row_of_another_company() {
        let database = TestDatabase::new(Content::Seeded).await;
        let mut connection = database.connect().await;
        run(&mut connection, LOAD.to_owned()).await.unwrap();
        run(&mut connection, UNGATE.to_owned()).await.unwrap();
        let proxy = Proxy::to(&database).await;
        let storage = Arc::new(PostgresStorage::connect(&TestDatabase::options_for(proxy.url())).unwrap());
        let api =
            TestApi::over(Arc::clone(&storage) as Arc<dyn Storage>, Some(Rc::new(database)), HttpOptions::default())
                .await;
        let world = new_world(&api).await;
        let mut theirs = furnished(&world, 1).await;
        // Query plans depend on the kind of the entity and not on its id, so a few ids suffice.
        theirs.ids.truncate(4);
        run(&mut connection, "ANALYZE".to_owned()).await.unwrap();
        spy(&mut connection, world.ours.id).await;
        let (reads, changes): (Vec<_>, Vec<_>) = operations().partition(is_read);
        ids(&world, &theirs, reads.into_iter()).await;
        counts(&world, &theirs).await;
        ids(&world, &theirs, changes.into_iter()).await;
        // The first request loads the cache entry of the non-member, and the second request confirms the entry.
        for _ in 0..2 {
            let non_member = world.request("GET", "/api/iam/navigation", TestCaller::Admin, Some(world.theirs.id));
            world.send("a non-member's menu", non_member).await.expect(200);
        }

        let all = world.request("GET", "/api/iam/companies", TestCaller::SuperAdmin, None);
        world.send("all companies", all).await.expect(200);

        let feature =
            world.valid(operation("DELETE /api/iam/features/{id}"), TestCaller::SuperAdmin, Some(world.ours.id)).await;
        world.send("a feature that goes", feature).await.expect(200);

        let seen = spied(&proxy);
        let is_named = |warning: &&String| NAMED.iter().any(|(_, text)| warning.contains(text));
        let unnamed: Vec<_> = seen.iter().filter(|warning| !is_named(warning)).collect();
        assert!(unnamed.is_empty(), "{unnamed:#?}");
        for (why, text) in NAMED {
            assert!(seen.iter().any(|warning| warning.contains(text)), "each exception must match a statement: {why}");
        }
        // Control: a statement without a company filter triggers a warning, although the regular policies hide the rows
        // from its result.
        let forgetful =
            format!("SELECT set_config('iam.company', '{}', true); SELECT count(*) FROM user_levels", world.ours.id);
        storage.connection().execute_unprepared(&forgetful).await.unwrap();
        let seen = spied(&proxy);
        assert!(seen.iter().any(|warning| warning.starts_with("spy: user_levels another")), "{seen:#?}");
    }
}
