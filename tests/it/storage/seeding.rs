//! Tests of seeding a catalog that operators have edited. They cover which rows are added, which rows remain deleted,
//! and which rows are restored on request.

mod postgres {
    use migration::{Migrator, SeedReport};
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query_scalar};
    use sea_orm_migration::prelude::MigratorTrait;

    use crate::support::database::{Content, TestDatabase, run};

    const NOTHING: SeedReport = SeedReport {
        views: 0,
        modules: 0,
        features: 0,
        feature_views: 0,
        module_views: 0,
        module_features: 0,
        menu_items: 0,
        sub_menu_items: 0,
    };

    /// The SQL that deletes the whole catalog and the menu.
    const DELETE_ALL: &str = "DELETE FROM menu_items; DELETE FROM views; DELETE FROM modules; DELETE FROM features";

    /// A database with a catalog, and the connections that a test uses.
    struct Catalog {
        db: sea_orm::DatabaseConnection,
        connection: PgConnection,
        /// Dropped last, after both connections are closed.
        _database: TestDatabase,
    }

    impl Catalog {
        async fn new(content: Content) -> Self {
            let database = TestDatabase::new(content).await;
            let (db, connection) = (database.sea_orm().await, database.connect().await);
            Self { db, connection, _database: database }
        }

        async fn seed(&self) -> SeedReport {
            migration::seed(&self.db).await.unwrap()
        }

        async fn run(&mut self, sql: &str) {
            run(&mut self.connection, sql.to_owned()).await.unwrap();
        }

        /// Returns the strings that the query returns, in ascending order.
        async fn texts(&mut self, query: &str) -> Vec<String> {
            let sql = format!("SELECT text COLLATE \"C\" FROM ({query}) AS answer (text) ORDER BY 1");
            query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await.unwrap()
        }

        /// Returns the catalog and the menu (both without timestamps), and also the versions and the number of audit
        /// records. Each row and each number is returned as a string.
        async fn content(&mut self) -> Vec<String> {
            self.texts(
                "SELECT concat('view ', id, name, url) FROM views
                UNION ALL SELECT concat('module ', id, code, name, enabled) FROM modules
                UNION ALL SELECT concat('feature ', id, key, name, enabled) FROM features
                UNION ALL SELECT concat('feature2views ', feature_id, view_id) FROM feature2views
                UNION ALL SELECT concat('module2views ', module_id, view_id) FROM module2views
                UNION ALL SELECT concat('module2features ', module_id, feature_id) FROM module2features
                UNION ALL SELECT concat('menu ', id, label, view_id, feature_id) FROM menu_items
                UNION ALL SELECT concat('sub-menu ', id, menu_item_id, label, view_id, feature_id) FROM sub_menu_items
                UNION ALL SELECT concat('version ', company_id, version) FROM company_states
                UNION ALL SELECT concat('records ', count(*)) FROM iam_audit_logs",
            )
            .await
        }

        /// Runs SQL as an operator would. Asserts that another seed then changes nothing.
        async fn keeps(&mut self, sql: &str) {
            self.run(sql).await;
            let before = self.content().await;
            assert_eq!(self.seed().await, NOTHING, "{sql}");
            assert_eq!(self.content().await, before, "{sql}");
        }

        /// Removes seeded rows together with their records in `iam_seeded_rows`. The next seed therefore treats these
        /// rows as new rows of a later release.
        async fn unseed(&mut self, table: &str, condition: &str) {
            self.run(&format!(
                "DELETE FROM iam_seeded_rows WHERE id IN (SELECT id FROM {table} WHERE {condition});
                DELETE FROM {table} WHERE {condition}"
            ))
            .await;
        }
    }

    // --- Rows that remain deleted ---

    #[tokio::test]
    async fn deleted_rows_of_every_kind_remain_deleted() {
        for sql in [
            "DELETE FROM features WHERE key = 'risks.create'",
            "DELETE FROM features WHERE key LIKE 'general.%'",
            "DELETE FROM modules WHERE code = 'risks'",
            "DELETE FROM modules WHERE code = 'core'",
            "DELETE FROM views WHERE url = '/profile'",
            "DELETE FROM sub_menu_items WHERE label = 'Audit'; DELETE FROM views WHERE url = '/modules/audit'",
            "DELETE FROM sub_menu_items; DELETE FROM features",
            DELETE_ALL,
        ] {
            let mut catalog = Catalog::new(Content::Seeded).await;
            catalog.keeps(sql).await;
            catalog.keeps("").await;
        }
    }

    #[tokio::test]
    async fn a_renamed_row_remains_renamed_and_then_deleted() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        catalog
            .keeps(
                "UPDATE views SET url = '/ours' WHERE url = '/profile';
                UPDATE modules SET code = 'ours' WHERE code = 'risks';
                UPDATE features SET key = NULL WHERE key = 'general.read'",
            )
            .await;
        catalog
            .keeps(
                "DELETE FROM views WHERE url = '/ours';
                DELETE FROM modules WHERE code = 'ours';
                DELETE FROM features WHERE key IS NULL",
            )
            .await;
    }

    #[tokio::test]
    async fn a_recreated_row_remains_unchanged() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        catalog
            .keeps(
                "DELETE FROM features WHERE key = 'general.read';
                INSERT INTO features (id, key, name) VALUES (gen_random_uuid(), 'general.read', 'Ours')",
            )
            .await;
    }

    #[tokio::test]
    async fn a_deleted_row_of_an_operator_with_a_seeded_key_remains_deleted() {
        let mut catalog = Catalog::new(Content::Schema).await;
        catalog
            .run(
                "INSERT INTO views (id, name, url) VALUES (gen_random_uuid(), 'Ours', '/profile');
                INSERT INTO modules (id, code, name) VALUES (gen_random_uuid(), 'audit', 'Ours');
                INSERT INTO features (id, key, name) VALUES (gen_random_uuid(), 'general.export', 'Ours')",
            )
            .await;
        let report = catalog.seed().await;
        assert_eq!((report.views, report.modules, report.features), (13, 3, 18));
        catalog
            .keeps(
                "DELETE FROM views WHERE name = 'Ours';
                DELETE FROM modules WHERE name = 'Ours';
                DELETE FROM features WHERE name = 'Ours'",
            )
            .await;
    }

    // --- Rows that are added ---

    #[tokio::test]
    async fn rows_of_a_later_release_are_seeded_with_mappings_and_menu_entries() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        let before = catalog.texts("SELECT concat(feature_id, view_id) FROM feature2views").await;
        catalog.unseed("features", "key LIKE 'risks.%'").await;
        assert_eq!(catalog.seed().await, SeedReport { features: 4, feature_views: 4, module_features: 4, ..NOTHING });
        assert_eq!(catalog.texts("SELECT concat(feature_id, view_id) FROM feature2views").await, before);

        catalog.run("DELETE FROM sub_menu_items WHERE label = 'Audit'").await;
        catalog.unseed("views", "url = '/modules/audit'").await;
        assert_eq!(catalog.seed().await, SeedReport { views: 1, module_views: 1, sub_menu_items: 1, ..NOTHING });

        catalog.unseed("modules", "code = 'risks'").await;
        assert_eq!(catalog.seed().await, SeedReport { modules: 1, module_views: 1, module_features: 4, ..NOTHING });
        assert_eq!(catalog.seed().await, NOTHING);
    }

    #[tokio::test]
    async fn a_mapping_to_a_deleted_row_is_skipped() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        catalog
            .keeps(
                "DELETE FROM sub_menu_items; DELETE FROM views WHERE url IN ('/modules/risks', '/home');
                DELETE FROM modules WHERE code = 'risks'",
            )
            .await;
        catalog.unseed("features", "key IN ('risks.create', 'general.read')").await;
        assert_eq!(catalog.seed().await, SeedReport { features: 2, feature_views: 1, ..NOTHING });
        catalog.unseed("modules", "code = 'core'").await;
        assert_eq!(catalog.seed().await, SeedReport { modules: 1, module_views: 10, ..NOTHING });
    }

    #[tokio::test]
    async fn a_mapping_references_a_renamed_or_recreated_row() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        catalog
            .keeps(
                "UPDATE views SET url = '/ours' WHERE url = '/modules/risks';
                DELETE FROM modules WHERE code = 'risks';
                INSERT INTO modules (id, code, name) VALUES (gen_random_uuid(), 'risks', 'Ours')",
            )
            .await;
        catalog.unseed("features", "key = 'risks.create'").await;
        assert_eq!(catalog.seed().await, SeedReport { features: 1, feature_views: 1, module_features: 1, ..NOTHING });
        let views = "SELECT url FROM views JOIN feature2views ON view_id = id WHERE feature_id =
            (SELECT id FROM features WHERE key = 'risks.create')";
        assert_eq!(catalog.texts(views).await, ["/ours"]);
        let modules = "SELECT name FROM modules JOIN module2features ON module_id = id";
        assert_eq!(catalog.texts(modules).await, ["Ours"]);
    }

    /// The query for the labels of all menu entries.
    const LABELS: &str = "SELECT label FROM menu_items UNION ALL SELECT label FROM sub_menu_items";

    #[tokio::test]
    async fn a_menu_entry_for_a_deleted_row_is_skipped() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        // The only sub-item of the menu item requires a deleted feature. The seed adds neither the menu item nor its
        // sub-item.
        catalog
            .keeps(
                "DELETE FROM menu_items WHERE label = 'Administration';
                DELETE FROM features WHERE key = 'iam.manage_levels'",
            )
            .await;
        catalog.unseed("views", "url = '/admin/user-levels'").await;
        assert_eq!(catalog.seed().await, SeedReport { views: 1, module_views: 1, ..NOTHING });

        // The parent item of the new sub-item refers to a deleted view. The seed adds neither the parent item nor the
        // sub-item.
        catalog
            .keeps("DELETE FROM menu_items WHERE label = 'Settings'; DELETE FROM views WHERE url = '/settings'")
            .await;
        catalog.unseed("views", "url = '/subscription'").await;
        assert_eq!(catalog.seed().await, SeedReport { views: 1, module_views: 1, ..NOTHING });

        let labels = ["Audit", "Companies", "Compliance", "Dashboard", "Modules", "Risks", "Users"];
        assert_eq!(catalog.texts(LABELS).await, labels);
    }

    #[tokio::test]
    async fn a_sub_item_is_added_to_an_item_with_a_changed_target() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        catalog
            .keeps(
                "DELETE FROM sub_menu_items WHERE label = 'Subscription';
                UPDATE menu_items SET view_id = NULL WHERE label = 'Settings';
                DELETE FROM views WHERE url = '/settings'",
            )
            .await;
        catalog.unseed("views", "url = '/subscription'").await;
        assert_eq!(catalog.seed().await, SeedReport { views: 1, module_views: 1, sub_menu_items: 1, ..NOTHING });
    }

    // --- Rows that are restored on request ---

    async fn restore(catalog: &Catalog) -> SeedReport {
        migration::restore_seed(&catalog.db).await.unwrap()
    }

    #[tokio::test]
    async fn a_restore_reinserts_all_deleted_rows_as_one_change_with_audit_records() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        let is_data = |line: &String| !line.starts_with("version ") && !line.starts_with("records ");
        let mut before = catalog.content().await;
        before.retain(is_data);
        catalog.keeps(DELETE_ALL).await;
        let version =
            "SELECT version::text FROM company_states WHERE company_id = '00000000-0000-0000-0000-000000000000'";
        let records = "SELECT count(*)::text FROM iam_audit_logs";
        assert_eq!((catalog.texts(version).await, catalog.texts(records).await), (vec!["1".into()], vec!["83".into()]));

        let restored = SeedReport {
            views: 14,
            modules: 4,
            features: 19,
            feature_views: 16,
            module_views: 14,
            module_features: 4,
            menu_items: 6,
            sub_menu_items: 6,
        };
        assert_eq!(restore(&catalog).await, restored);
        let mut after = catalog.content().await;
        after.retain(is_data);
        assert_eq!(after, before);
        assert_eq!(
            (catalog.texts(version).await, catalog.texts(records).await),
            (vec!["2".into()], vec!["166".into()])
        );

        assert_eq!(restore(&catalog).await, NOTHING);
        catalog.keeps(DELETE_ALL).await;
    }

    #[tokio::test]
    async fn a_restored_row_is_inserted_with_only_its_mappings_and_menu_entries() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        catalog
            .keeps(
                "DELETE FROM sub_menu_items WHERE label IN ('Audit', 'Risks');
                    DELETE FROM views WHERE url = '/modules/audit';
                DELETE FROM feature2views WHERE view_id = (SELECT id FROM views WHERE url = '/companies');
                DELETE FROM menu_items WHERE label = 'Users'",
            )
            .await;
        assert_eq!(restore(&catalog).await, SeedReport { views: 1, module_views: 1, sub_menu_items: 1, ..NOTHING });
    }

    #[tokio::test]
    async fn a_restore_changes_no_existing_row() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        catalog
            .keeps(
                "UPDATE views SET name = 'Ours', url = '/ours' WHERE url = '/profile';
                UPDATE features SET enabled = false WHERE key = 'general.read';
                DELETE FROM modules WHERE code = 'risks';
                INSERT INTO modules (id, code, name) VALUES (gen_random_uuid(), 'risks', 'Ours')",
            )
            .await;
        let before = catalog.content().await;
        assert_eq!(restore(&catalog).await, NOTHING);
        assert_eq!(catalog.content().await, before);
    }

    #[tokio::test]
    async fn a_restore_also_inserts_rows_that_were_never_seeded() {
        let mut catalog = Catalog::new(Content::Schema).await;
        assert_eq!(restore(&catalog).await.features, 19);
        catalog.keeps(DELETE_ALL).await;
    }

    #[tokio::test]
    async fn a_failed_seed_has_no_effect() {
        let mut catalog = Catalog::new(Content::Schema).await;
        catalog.run("ALTER TABLE sub_menu_items ADD CONSTRAINT refused CHECK (label <> 'Audit')").await;
        migration::seed(&catalog.db).await.unwrap_err();
        assert_eq!(catalog.texts("SELECT id::text FROM iam_seeded_rows").await, Vec::<String>::new());
        catalog.run("ALTER TABLE sub_menu_items DROP CONSTRAINT refused").await;
        assert_eq!(catalog.seed().await.views, 14);
    }

    // --- Upgrades ---

    /// Reverts the migration that added the table `iam_seeded_rows`, and all later migrations.
    async fn downgrade(catalog: &Catalog) {
        let names = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect::<Vec<_>>();
        let kept = names.iter().position(|name| name.ends_with("_seeded_rows")).unwrap();
        migration::down(&catalog.db, u32::try_from(names.len() - kept).unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn rows_deleted_before_an_upgrade_remain_deleted() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        downgrade(&catalog).await;
        catalog.run("DELETE FROM sub_menu_items").await;
        for deletion in [
            "DELETE FROM features WHERE key LIKE 'risks.%'",
            "DELETE FROM views WHERE url = '/modules/risks'",
            "DELETE FROM modules WHERE code = 'risks'",
        ] {
            catalog.run(deletion).await;
        }
        migration::up(&catalog.db).await.unwrap();
        catalog.keeps("").await;
    }

    #[tokio::test]
    async fn rows_deleted_after_an_upgrade_remain_deleted_without_the_audit_trail() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        downgrade(&catalog).await;
        catalog.run("DELETE FROM iam_audit_logs").await;
        migration::up(&catalog.db).await.unwrap();
        catalog.keeps(DELETE_ALL).await;
    }

    #[tokio::test]
    async fn an_upgrade_records_only_seeded_rows_and_new_rows_are_seeded_later() {
        let mut catalog = Catalog::new(Content::Seeded).await;
        let seeded = catalog.texts("SELECT id::text FROM iam_seeded_rows").await;
        assert_eq!(seeded.len(), 14 + 4 + 19);
        downgrade(&catalog).await;
        // The earlier release did not have this feature, and operators had created their own view.
        catalog
            .run(
                "DELETE FROM iam_audit_logs WHERE entity_id = (SELECT id FROM features WHERE key = 'risks.create');
                DELETE FROM features WHERE key = 'risks.create';
                INSERT INTO views (id, name, url) VALUES ('0198c0de-0000-7000-8000-000000000000', 'Ours', '/ours')",
            )
            .await;
        migration::up(&catalog.db).await.unwrap();
        assert_eq!(catalog.texts("SELECT id::text FROM iam_seeded_rows").await.len(), seeded.len() - 1);
        assert_eq!(catalog.seed().await, SeedReport { features: 1, feature_views: 1, module_features: 1, ..NOTHING });
        assert_eq!(catalog.texts("SELECT id::text FROM iam_seeded_rows").await, seeded);
    }

    #[tokio::test]
    async fn an_upgrade_of_an_empty_catalog_records_nothing() {
        let mut catalog = Catalog::new(Content::Schema).await;
        downgrade(&catalog).await;
        migration::up(&catalog.db).await.unwrap();
        assert_eq!(catalog.texts("SELECT id::text FROM iam_seeded_rows").await, Vec::<String>::new());
        assert_eq!(catalog.seed().await.views, 14);
    }
}
