//! The charts of a replica: its lease, the delay of revocations, its hit ratio, and its connection pool.

use std::time::Duration;

use iam_application::Figures;
use maud::{Markup, html};

use super::chart::{Chart, Form};

/// Returns the charts of the figures of the last minutes.
pub(super) fn charts(history: &[Figures]) -> Markup {
    html! {
        ul.cards.charts {
            (lease(history).show())
            @match pool(history) {
                Some(pool) => { (revocations(history).show()) (pool.show()) },
                None => {
                    (without_values("Delay of revocations", "The data is in memory, so each change applies at once."))
                    (without_values("Connection pool", "The data is in memory, so there are no connections."))
                },
            }
            (hits(history).show())
            (requests(history).show())
        }
    }
}

fn without_values(title: &str, reason: &str) -> Markup {
    html! { li.card { h2 { (title) } p.muted { (reason) } } }
}

/// Returns a duration in the unit that people read best.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        0.0 => "0 s".to_owned(),
        _ if seconds < 0.001 => "under 1 ms".to_owned(),
        _ if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 100.0 => format!("{seconds:.1} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    }
}

fn lease(history: &[Figures]) -> Chart {
    let values: Vec<_> = history.iter().map(|figures| figures.cache.age.map(|age| age.as_secs_f64())).collect();
    let latest = history.last().map(|figures| figures.cache);
    let (age, remaining) = latest.map_or((None, Duration::ZERO), |cache| (cache.age, cache.lease_remaining));
    let note = if remaining.is_zero() {
        "The lease has expired: requests wait until the database confirms the cached data.".to_owned()
    } else {
        format!("The lease ends in {} unless the database confirms the cached data before.", text(remaining))
    };
    let latest = age.map_or_else(|| "Not confirmed yet".to_owned(), |age| format!("{} old", text(age)));
    Chart { title: "Age of the cached data", latest, note, form: Form::Line, values, top: 1.0, format: duration }
}

fn revocations(history: &[Figures]) -> Chart {
    let delay = |figures: &Figures| figures.longest_revocation_delay.map(|delay| delay.as_secs_f64());
    let values: Vec<_> = history.iter().map(delay).collect();
    let longest = values.iter().flatten().copied().reduce(f64::max);
    let latest = longest.map_or_else(|| "No change".to_owned(), |longest| format!("at most {}", duration(longest)));
    let note = "The time from a change on any replica until this replica applies it. The longest in each interval.";
    let (note, form) = (note.to_owned(), Form::Bars);
    Chart { title: "Delay of revocations", latest, note, form, values, top: 0.01, format: duration }
}

/// Returns the differences of the numbers of requests that were served from the cache, and of those that waited.
fn differences(history: &[Figures]) -> impl Iterator<Item = (f64, f64, f64)> {
    history.iter().zip(history.iter().skip(1)).map(|(before, after)| {
        let hits = after.cache.hits.saturating_sub(before.cache.hits) as f64;
        let misses = after.cache.misses.saturating_sub(before.cache.misses) as f64;
        let seconds = after.at.millis().saturating_sub(before.at.millis()) as f64 / 1e3;
        (hits, misses, seconds)
    })
}

fn hits(history: &[Figures]) -> Chart {
    let ratio = |(hits, misses, _): (f64, f64, f64)| (hits + misses > 0.0).then(|| hits / (hits + misses));
    let values: Vec<_> = differences(history).map(ratio).collect();
    let (all, waited) = differences(history).fold((0.0, 0.0), |(all, waited), (h, m, _)| (all + h + m, waited + m));
    let latest = ratio((all - waited, waited, 0.0)).map_or_else(|| "No requests".to_owned(), percent);
    let note = format!("{waited:.0} of {all:.0} requests waited until the data was read.");
    Chart { title: "Hit ratio of the cache", latest, note, form: Form::Line, values, top: 1.0, format: percent }
}

fn requests(history: &[Figures]) -> Chart {
    let rate = |(hits, misses, seconds): (f64, f64, f64)| (seconds > 0.0).then(|| (hits + misses) / seconds);
    let values: Vec<_> = differences(history).map(rate).collect();
    let latest = values.last().copied().flatten().map_or_else(|| "No requests".to_owned(), per_second);
    let note = "Decisions and other reads of permissions, of the API and of this console.".to_owned();
    Chart { title: "Requests to the cache", latest, note, form: Form::Line, values, top: 1.0, format: per_second }
}

fn pool(history: &[Figures]) -> Option<Chart> {
    let latest = history.last()?.pool?;
    let used = |figures: &Figures| figures.pool.map(|pool| f64::from(pool.size.saturating_sub(pool.idle)));
    let values = history.iter().map(used).collect();
    let note =
        format!("{} connections are open, {} of them idle. The maximum is {}.", latest.size, latest.idle, latest.max);
    let (top, format): (_, fn(f64) -> String) = (f64::from(latest.max), |number| format!("{number:.0}"));
    let used = latest.size.saturating_sub(latest.idle);
    Some(Chart {
        title: "Connection pool",
        latest: format!("{used} in use"),
        note,
        form: Form::Line,
        values,
        top,
        format,
    })
}

fn text(time: Duration) -> String {
    duration(time.as_secs_f64())
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1} per second") } else { format!("{rate:.0} per second") }
}
