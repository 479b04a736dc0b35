//! Tests of the errors that the commands report when they cannot use the database.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::support::process::{run, text_of};

/// The commands that need a database.
const COMMANDS: [(&str, &[&str]); 4] = [
    ("migration", &["up"]),
    ("migration", &["status"]),
    ("iam-http", &["keys", "list"]),
    ("iam-http", &["keys", "revoke", "000000000000"]),
];

/// Asserts that each command fails, that its output contains all `expected` strings, and that its output does not
/// contain the password `hunter2`.
fn assert_all_commands_report(url: &str, expected: &[&str]) {
    for (program, arguments) in COMMANDS {
        let output = run(program, arguments, &[("DATABASE_URL", url)]);
        let text = text_of(&output);
        assert_ne!(output.status.code(), Some(0), "{program} {arguments:?} {url}: {text}");
        for expected in expected {
            assert!(text.contains(expected), "{program} {arguments:?} {url}: {expected:?} is missing in {text}");
        }
        assert!(!text.contains("hunter2"), "{program} {arguments:?} {url}: {text}");
        assert!(!text.contains("timed out"), "{program} {arguments:?} {url}: {text}");
    }
}

/// Starts a server that responds to each connection with this PostgreSQL error, and returns its port.
fn server_that_answers(code: &'static str, message: &'static str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Reads the start-up message: its length, which counts itself, and its content.
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
            stream.read_exact(&mut rest).unwrap();
            let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
            let length = u32::try_from(fields.len() + 4).unwrap();
            stream.write_all(&[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()).unwrap();
        }
    });
    port
}

#[test]
fn the_error_for_a_refused_connection_contains_the_port() {
    let refused = "the database server refused the connection: no process is listening on this address";
    for (host, shown) in [("127.0.0.1:1", "(127.0.0.1:1, database iam)"), ("[::1]:1", "([::1]:1, database iam)")] {
        assert_all_commands_report(&format!("postgres://iam:hunter2@{host}/iam"), &[refused, shown]);
    }
    assert_all_commands_report(
        "postgres://iam:hunter2@%2Fnowhere:5433/iam",
        &[
            "the database server refused the connection: no process is listening on this address",
            "(/nowhere/.s.PGSQL.5433, database iam)",
        ],
    );
}

#[test]
fn the_error_for_an_unresolvable_host_contains_the_host() {
    let unknown = "the name of the database server cannot be resolved (nosuch.invalid:5433, database iam)";
    assert_all_commands_report("postgres://iam:hunter2@nosuch.invalid:5433/iam", &[unknown]);
}

#[test]
fn the_error_contains_the_message_of_the_server() {
    for (code, message, problem) in [
        ("28P01", "password authentication failed for user \"iam\"", "rejected the user name or password"),
        ("28000", "no pg_hba.conf entry for host", "does not permit this role to connect from this host"),
        ("3D000", "database \"iam\" does not exist", "the database does not exist"),
        ("XX000", "the disk is broken", "the database cannot be reached"),
    ] {
        let port = server_that_answers(code, message);
        let url = format!("postgres://iam:hunter2@127.0.0.1:{port}/iam?sslmode=disable");
        assert_all_commands_report(&url, &[problem, &format!("(127.0.0.1:{port}, database iam)"), message]);
    }
}

mod postgres {
    use super::*;
    use crate::support::database::{Content, TestDatabase};

    #[actix_web::test]
    async fn the_error_for_an_unknown_database_contains_its_name() {
        let database = TestDatabase::new(Content::Nothing).await;
        let url = format!("{}_that_is_not_there", database.url());
        let (_, server) = url.split_once('@').unwrap();
        let (server, name) = server.split_once('/').unwrap();
        assert_all_commands_report(
            &url,
            &[
                "the database does not exist",
                &format!("({server}, database {name})"),
                &format!("database \"{name}\" does not exist"),
            ],
        );
    }

    #[actix_web::test]
    async fn the_error_of_keys_list_contains_the_missing_table() {
        let database = TestDatabase::new(Content::Nothing).await;
        let output = run("iam-http", &["keys", "list"], &[("DATABASE_URL", database.url())]);
        assert_ne!(output.status.code(), Some(0));
        assert!(text_of(&output).contains("relation \"api_keys\" does not exist"), "{}", text_of(&output));
    }
}
