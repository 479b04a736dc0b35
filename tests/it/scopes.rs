//! Tests of the examples in `docs/scopes.md`: the SQL statements and the SeaORM function return the records within each
//! scope. The section about SeaORM contains the function [`within_scope`] of this file.

use iam_domain::Scope;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition};
use uuid::Uuid;

const MANUAL: &str = include_str!("../../docs/scopes.md");

/// The SeaORM entity of the table `risks` in the examples.
mod risk {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "risks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub company_id: Uuid,
        pub owner_id: Uuid,
        pub team_id: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The SeaORM entity of the table `team_members` in the examples.
mod team_member {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "team_members")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub team_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Uuid,
        pub company_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn within_scope(scope: Scope, company: Uuid, user: Uuid) -> Condition {
    let in_company = Condition::all().add(risk::Column::CompanyId.eq(company));
    let own = risk::Column::OwnerId.eq(user);
    match scope {
        Scope::Own => in_company.add(own),
        Scope::Team => {
            let teams = Query::select()
                .column(team_member::Column::TeamId)
                .from(team_member::Entity)
                .and_where(team_member::Column::CompanyId.eq(company))
                .and_where(team_member::Column::UserId.eq(user))
                .to_owned();
            in_company.add(Condition::any().add(own).add(risk::Column::TeamId.in_subquery(teams)))
        }
        Scope::Company | Scope::Any => in_company,
    }
}

/// Returns the code blocks of a section that are written in the given language.
fn blocks(section: &str, language: &str) -> Vec<&'static str> {
    let (_, text) = MANUAL.split_once(&format!("\n{section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|block| block.split_once("```").unwrap().0).collect()
}

#[test]
fn the_guide_contains_the_function_of_this_file() {
    let (_, function) = include_str!("scopes.rs").split_once("\nfn within_scope").unwrap();
    let (function, _) = function.split_once("\n}\n").unwrap();
    let [example] = blocks("### SeaORM", "rust")[..] else { panic!("the section needs one example") };
    assert!(example.contains(&format!("fn within_scope{function}\n}}\n")), "{example}");
}

mod postgres {
    use sea_orm::sqlx::{AssertSqlSafe, PgConnection, query, query_scalar};
    use sea_orm::{EntityTrait, QueryFilter};

    use super::*;
    use crate::support::database::{Content, TestDatabase, run};

    const TABLES: &str = "
        CREATE TABLE risks (id uuid PRIMARY KEY, company_id uuid, owner_id uuid, team_id uuid, approved_by uuid);
        CREATE TABLE team_members (company_id uuid, team_id uuid, user_id uuid);";

    /// Returns the UUID with this numeric value. The tests identify records, companies and users by short numbers.
    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    const OURS: u128 = 1;
    const THEIRS: u128 = 2;
    const USER: u128 = 11;
    const OTHER: u128 = 12;
    const TEAM: u128 = 21;
    const OTHER_TEAM: u128 = 22;
    /// The records of the examples, each with its id, company, owner and team.
    const RISKS: [(u128, u128, u128, Option<u128>); 6] = [
        (101, OURS, USER, None),
        (102, OURS, USER, Some(OTHER_TEAM)),
        (103, OURS, OTHER, Some(TEAM)),
        (104, OURS, OTHER, Some(OTHER_TEAM)),
        (105, THEIRS, USER, None),
        (106, THEIRS, OTHER, Some(TEAM)),
    ];
    /// The scopes, each with its name in the examples and the ids of the records within it.
    const WITHIN: [(Scope, &str, &[u128]); 4] = [
        (Scope::Own, "own", &[101, 102]),
        (Scope::Team, "team", &[101, 102, 103]),
        (Scope::Company, "company, any", &[101, 102, 103, 104]),
        (Scope::Any, "company, any", &[101, 102, 103, 104]),
    ];

    /// Creates a database with the tables and records of the examples. The user belongs to one team in each company.
    async fn product() -> (TestDatabase, PgConnection) {
        let database = TestDatabase::new(Content::Nothing).await;
        let mut connection = database.connect().await;
        run(&mut connection, TABLES.to_owned()).await.unwrap();
        for (company, team) in [(OURS, TEAM), (THEIRS, OTHER_TEAM)] {
            let insert = query("INSERT INTO team_members VALUES ($1, $2, $3)");
            insert.bind(id(company)).bind(id(team)).bind(id(USER)).execute(&mut connection).await.unwrap();
        }
        for (risk, company, owner, team) in RISKS {
            let insert = query("INSERT INTO risks VALUES ($1, $2, $3, $4)");
            let insert = insert.bind(id(risk)).bind(id(company)).bind(id(owner)).bind(team.map(id));
            insert.execute(&mut connection).await.unwrap();
        }
        (database, connection)
    }

    /// Returns the SQL statements of the section about SQL: the queries, each with its scopes, and the statement that
    /// changes a record.
    fn statements() -> (Vec<(&'static str, &'static str)>, &'static str) {
        let [queries, change] = blocks("### SQL", "sql")[..] else { panic!("the section needs two examples") };
        (queries.split("-- ").skip(1).map(|query| query.split_once('\n').unwrap()).collect(), change)
    }

    #[tokio::test]
    async fn the_examples_return_the_records_within_each_scope() {
        let (database, mut connection) = product().await;
        let orm = database.sea_orm().await;
        let (queries, _) = statements();
        for (scope, name, expected) in WITHIN {
            let expected: Vec<Uuid> = expected.iter().copied().map(id).collect();
            let (_, sql) = queries.iter().find(|(scope, _)| *scope == name).unwrap();
            let select = query_scalar::<_, Uuid>(AssertSqlSafe(*sql)).bind(id(OURS));
            let select = if sql.contains("$2") { select.bind(id(USER)) } else { select };
            let mut found = select.fetch_all(&mut connection).await.unwrap();
            found.sort_unstable();
            assert_eq!(found, expected, "{name}: {sql}");

            let found = risk::Entity::find().filter(within_scope(scope, id(OURS), id(USER)));
            let mut found: Vec<Uuid> = found.all(&orm).await.unwrap().into_iter().map(|risk| risk.id).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{scope:?}");
        }
        orm.close().await.unwrap();
    }

    #[tokio::test]
    async fn the_examples_change_and_create_only_records_within_the_scope_team() {
        let (_database, mut connection) = product().await;
        let (_, change) = statements();
        for (risk, company, ..) in RISKS {
            let update = query(change).bind(id(OURS)).bind(id(USER)).bind(id(risk));
            let changed = update.execute(&mut connection).await.unwrap().rows_affected() == 1;
            assert_eq!(changed, company == OURS && [101, 102, 103].contains(&risk), "{risk}");
        }
        let [creation] = blocks("## Creating records", "sql")[..] else { panic!("the section needs one example") };
        for (number, owner, team, is_allowed) in [
            (201, USER, None, true),
            (202, USER, Some(OTHER_TEAM), true),
            (203, OTHER, Some(TEAM), true),
            (204, OTHER, Some(OTHER_TEAM), false),
            (205, OTHER, None, false),
        ] {
            let insert = query(creation).bind(id(OURS)).bind(id(USER)).bind(id(number)).bind(id(owner));
            let inserted = insert.bind(team.map(id)).execute(&mut connection).await.unwrap().rows_affected() == 1;
            assert_eq!(inserted, is_allowed, "{number}");
        }
    }
}
