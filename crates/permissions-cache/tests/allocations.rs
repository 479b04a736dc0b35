//! Test: a cache hit allocates no memory, for every kind of subject and of permission check.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::hint::black_box;

use iam_domain::Action;
use iam_permissions_cache::{Check, Consistency, FeatureRef, Subject, ViewRef};

use crate::replica::{Replica, patient};
use crate::store::Store;
use crate::world::{SCOPES, company, feature, user, view};

#[expect(dead_code, reason = "only other tests use the remaining items")]
#[path = "it/replica.rs"]
mod replica;
#[expect(dead_code, reason = "only other tests use the remaining items")]
#[path = "it/store.rs"]
mod store;
#[expect(dead_code, reason = "only other tests use the remaining items")]
#[path = "it/world.rs"]
mod world;

fn questions() -> Vec<Check> {
    let views = [ViewRef::Id(view(0)), ViewRef::Id(view(1)), ViewRef::Id(view(98))];
    let urls = ["/0", "/1", "/nowhere"].map(|url| ViewRef::Url(url.to_owned()));
    let ids = [0, 1, 98].map(|number| FeatureRef::Id(feature(number)));
    let keys = ["feature.0", "feature.1", "no.key"].map(|key| FeatureRef::Key(key.to_owned()));
    let actions = ["Read", "Publish", "Nonsense"].map(|name| Action::parse(name).unwrap());
    let features = ids.into_iter().chain(keys).flat_map(|feature| {
        actions.clone().into_iter().map(move |action| {
            let least_scope = SCOPES.last().copied().filter(|_| action.as_str() == "Publish");
            Check::Feature { feature: feature.clone(), action, least_scope }
        })
    });
    views.into_iter().chain(urls).map(Check::View).chain(features).collect()
}

#[tokio::test]
async fn a_hit_allocates_nothing() {
    let store = Store::with_catalog().await;
    store.company(0, 1).await;
    let replica = Replica::new(&store, patient()).await;
    let permissions = &replica.permissions;
    // A member, a non-member, super admins with and without a level, a service, and a user of an unknown company.
    let subjects = [
        (0, Subject::User(user(0))),
        (0, Subject::User(user(9))),
        (0, Subject::SuperAdmin(user(0))),
        (0, Subject::SuperAdmin(user(9))),
        (0, Subject::Service),
        (9, Subject::User(user(0))),
    ];
    let questions = questions();
    let mut answers = (0, 0);
    for (of, subject) in subjects {
        permissions.access(company(of), subject, Consistency::Cached).await.unwrap();
        // The first hit on a thread allocates memory, because it registers the thread with the concurrent map.
        assert!(permissions.try_access(company(of), subject, Consistency::Cached).is_some());
        for question in &questions {
            let mut outcome = None;
            let counted = allocation_counter::measure(|| {
                outcome = black_box(permissions.try_check(company(of), subject, black_box(question)));
            });
            assert_eq!(counted.count_total, 0, "{subject:?} {question:?}");
            if outcome.unwrap().allowed { answers.0 += 1 } else { answers.1 += 1 }
        }
        let counted = allocation_counter::measure(|| {
            let access = permissions.try_access(company(of), subject, Consistency::Cached).unwrap();
            let versions = access.versions();
            for question in &questions {
                black_box(access.decide(question).outcome);
            }
            black_box(permissions.try_access(company(of), subject, Consistency::AtLeast(versions)));
            black_box(permissions.try_access(company(of), subject, Consistency::Fresh));
        });
        assert_eq!(counted.count_total, 0, "{subject:?}");
    }
    assert!(answers.0 > 10 && answers.1 > 10, "{answers:?}");
    // Checks that the counter detects an allocation.
    assert!(allocation_counter::measure(|| drop(black_box(vec![1_u8]))).count_total > 0);
}
