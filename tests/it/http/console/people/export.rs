//! Tests of the export of the users whom a check allows.

use crate::http::console::scene::Scene;
use crate::support::api::{TestApi, new_user};

/// The file is an attachment with all users, in which no cell is a formula.
#[actix_web::test]
async fn the_file_contains_all_users_and_no_formulas() {
    let scene = Scene::new(TestApi::memory().await).await;
    let company = scene.company;
    scene.name(company.member, "=HYPERLINK(\"http://evil.example\")").await;
    scene.name(company.visitor, "Hopper, \"Grace\"").await;
    let answer = scene.admin.get(&scene.path("who-can.csv?feature=general.read&action=Read")).await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"who-can.csv\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let text = answer.text();
    let mut lines = text.split("\r\n");
    let columns = r#""user id","external id","display name","e-mail address","scope","reason","levels""#;
    assert_eq!(lines.next(), Some(columns));
    let line = |start: String| {
        let found = text.split("\r\n").find(|line| line.starts_with(&start));
        found.unwrap_or_else(|| panic!("{start} is not in {text}")).to_owned()
    };
    let member = line(format!("\"{}\"", company.member));
    let cells = r#""","'=HYPERLINK(""http://evil.example"")","","company","explicit_allow","Member""#;
    assert_eq!(member, format!("\"{}\",{cells}", company.member));
    assert!(line(format!("\"{}\"", company.visitor)).contains(r#""Hopper, ""Grace""""#), "{text}");
    line(format!("\"{}\"", company.admin));
}

/// A file that needs several parts is complete.
#[actix_web::test]
async fn a_long_file_is_complete() {
    let scene = Scene::new(TestApi::memory().await).await;
    let member = scene.api.level_id(scene.company, "Member").await;
    for _ in 0..201 {
        scene.api.assign(scene.company, new_user(), &[&member]).await;
    }
    let text = scene.admin.get(&scene.path("who-can.csv?view=/home")).await.expect(200).text();
    assert_eq!(text.lines().count(), 1 + 3 + 201);
    scene.admin.get(&scene.path("who-can.csv")).await.expect(400);
    scene.admin.get(&scene.path("who-can.csv?view=/nowhere")).await.expect(400);
}
