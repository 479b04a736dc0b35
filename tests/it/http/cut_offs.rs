//! Tests of token cut-offs: which tokens of a user they revoke, and which callers may set them.

use std::time::Duration;

use iam_domain::Timestamp;
use iam_identity::{SharedSecret, TokenSigner, TokenVerifier, VerifierOptions};
use serde_json::{Value, json};

use super::credentials::{at, changes, expired_token, reads, token};
use crate::support::api::{both_adapters, new_user, now, secret};
use crate::support::replica::{Line, Replica};

both_adapters! {
    /// Tokens that were issued before the cut-off are rejected, including tokens of super admins. Tokens that were
    /// issued later are accepted. The replica that sets the cut-off applies it at once, and the other replicas apply it
    /// when they detect it.
    async fn a_cut_off_rejects_the_tokens_of_a_user(api: TestApi) {
        let company = api.company().await;
        let (a, b, deaf) = (Replica::of(&api).await, Replica::of(&api).await, Replica::of(&api).await);
        for (user, is_super_admin) in [(company.admin, false), (new_user(), true)] {
            let (old, undated) = (token(user, is_super_admin, Some(100)), token(user, is_super_admin, None));
            for replica in [&a, &b, &deaf] {
                reads(&replica.api, company, &old).await.expect(200);
                reads(&replica.api, company, &undated).await.expect(200);
            }
            deaf.channel.set(Line::Stalled);
            let path = format!("/api/iam/users/{user}/not-before");
            let cut = a.api.put(&path).by_super_admin().send().await.expect(200).data();
            assert_eq!(cut["user"]["id"], json!(user));
            b.catch_up().await;
            for replica in [&a, &b] {
                for token in [&old, &undated] {
                    expired_token(&reads(&replica.api, company, token).await);
                }
            }
            // The replica `deaf` has not detected the cut-off yet and accepts reads, but it rejects the user's changes.
            reads(&deaf.api, company, &old).await.expect(200);
            changes(&deaf.api, company, &old, "Never").await.expect(403);
            changes(&deaf.api, company, &undated, "Never").await.expect(403);
            // The cut-off is moved back to one minute ago, so a token that was issued after that time is accepted.
            let minute_ago = json!({ "notBefore": at(now() - 60) });
            a.api.put(&path).by_super_admin().json(&minute_ago).send().await.expect(200);
            let new = token(user, is_super_admin, Some(1));
            b.catch_up().await;
            for replica in [&a, &b] {
                reads(&replica.api, company, &new).await.expect(200);
                expired_token(&reads(&replica.api, company, &old).await);
            }
            changes(&a.api, company, &new, &format!("By {user}")).await.expect(201);
            deaf.channel.set(Line::Whole);
            // Waits until the replica `deaf` has detected this cut-off. Otherwise it would detect this cut-off and the
            // next one in the same poll.
            deaf.catch_up().await;
        }
        // Other users are not affected.
        let member = json!({ "view": "/dashboard" });
        assert_eq!(b.api.check(company, company.member, member).await["allowed"], true);
    }

    /// A token that was issued exactly at the cut-off is accepted for reads and changes. A token that was issued
    /// earlier is rejected.
    async fn a_token_issued_at_the_cut_off_is_admitted(api: TestApi) {
        let company = api.company().await;
        let made = now() - 100;
        let claims = json!({ "userId": company.admin, "iat": made, "exp": now() + 3600 });
        let bearer = TokenSigner::hs256(&secret()).sign_claims(&claims).unwrap();
        let path = format!("/api/iam/users/{}/not-before", company.admin);
        for (later_by, read, changed) in [(0, 200, 201), (1, 401, 401)] {
            let not_before = Timestamp::from_millis(at(made).millis() + later_by);
            let body = json!({ "notBefore": not_before });
            api.put(&path).by_super_admin().json(&body).send().await.expect(200);
            reads(&api, company, &bearer).await.expect(read);
            changes(&api, company, &bearer, "Just in time").await.expect(changed);
        }
    }

    /// An issuer's clock may be ahead, so existing tokens can have issue times in the future. The default cut-off is
    /// therefore the current time plus the allowed clock skew, so that it also rejects these tokens.
    async fn a_token_from_a_clock_that_is_ahead_is_cut_off_too(api: TestApi) {
        let company = api.company().await;
        let clock_skew = Duration::from_secs(30);
        let options = VerifierOptions { clock_skew, ..VerifierOptions::default() };
        let native = Some(SharedSecret::new(secret()));
        let router = api.with_verifier(TokenVerifier::start(native, Vec::new(), &options).await.unwrap()).await;
        let claims = json!({ "userId": company.admin, "iat": now() + 25, "exp": now() + 3600 });
        let ahead = TokenSigner::hs256(&secret()).sign_claims(&claims).unwrap();
        reads(&router, company, &ahead).await.expect(200);
        let path = format!("/api/iam/users/{}/not-before", company.admin);
        router.put(&path).by_super_admin().send().await.expect(200);
        expired_token(&reads(&router, company, &ahead).await);
    }

    /// Only super admins who authenticate with a token can set cut-offs. Requests with API keys return 403, regardless
    /// of the role of the key.
    async fn only_super_admins_with_a_token_cut_users_off(api: TestApi) {
        let company = api.company().await;
        let path = format!("/api/iam/users/{}/not-before", company.member);
        api.put(&path).by(company.admin).within(company.id).send().await.expect(403);
        let of_company = api.api_key("administer", Some(company.id)).await;
        api.put(&path).by_key(&of_company).within(company.id).send().await.expect(403);
        // With a leaked key, an attacker must not be able to set cut-offs for the super admins who could revoke the
        // key, or to remove cut-offs that they set.
        let platform = api.api_key("administer", None).await;
        for user in [company.member, api.super_admin] {
            for time in ["9999-12-31T00:00:00Z", "1970-01-01T00:00:00Z"] {
                let path = format!("/api/iam/users/{user}/not-before");
                api.put(&path).by_key(&platform).json(&json!({ "notBefore": time })).send().await.expect(403);
            }
        }
        api.put(&path).by_super_admin().send().await.expect(200);
        let user = |request: crate::support::api::Request| request.send();
        let seen =
            user(api.get(&format!("/api/iam/users/{}", company.member)).by_super_admin()).await.expect(200).data();
        assert!(seen["user"]["notBefore"].is_string());
        // Cut-offs belong to the platform and are not visible to a company's administrators.
        let seen = api.get(&format!("/api/iam/users/{}", company.member)).by(company.admin).within(company.id);
        assert_eq!(seen.send().await.expect(200).data()["user"]["notBefore"], Value::Null);
    }
}
